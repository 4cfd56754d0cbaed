package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// asideTimeout bounds one move: a mutation of a table of billions takes minutes.
const asideTimeout = 2 * time.Hour

// MakeWay is the entry that goes on after a truncation: rows and dead letters of what
// Kafka lost keep their data and give up their coordinates, so that nobody takes new
// records at those offsets for stored. Nothing else of the topic is started while it
// runs, and no batch that could store a row there is open when it begins. So what is
// in the way is what is there; when nothing is left, that is written down, and only
// then the entry ends.
//
// It is a type of its own, not a batch's: a worker that does not know it must not
// take it for an empty batch. Whatever dies, it begins again where it was; a second
// entry for the same loss finds it written down and moves nothing, for by then new
// records may be stored.
func MakeWay(ctx workflow.Context, in batch.Batch) (batch.Outcome, error) {
	i := &ingest{in: in, run: originalRun(ctx), aside: true}
	i.goOn = func(ctx workflow.Context) error { return workflow.NewContinueAsNewError(ctx, MakeWay, in) }
	if err := i.listen(ctx); err != nil {
		return i.out, err
	}
	for {
		job := i.asideJob()
		var plan activities.Aside
		if err := i.enact(ctx, short, act.PlanAside, job, &plan); err != nil {
			return i.out, err
		}
		if len(plan.Truncated) == 0 {
			return i.out, i.tellEnd(ctx)
		}
		job.Truncated, job.Until = plan.Truncated, plan.Until
		left, err := i.makeWay(ctx, job)
		if err != nil {
			return i.out, err
		}
		if left == 0 {
			if err := i.enact(ctx, short, act.NoteAside, job, nil); err != nil {
				return i.out, err
			}
			workflow.SetCurrentDetails(ctx, fmt.Sprintf("%d rows and %d dead letters of lost records are kept aside", i.out.KeptRows, i.out.KeptLetters))
			return i.out, i.tellEnd(ctx)
		}
		workflow.GetLogger(ctx).Warn("rows are newer than the entry that makes way for others: again", "batch", in.ID(), "rows", left)
		if err := workflow.Sleep(ctx, time.Second); err != nil {
			return i.out, err
		}
	}
}

func (i *ingest) asideJob() activities.AsideInput {
	return activities.AsideInput{Workflow: i.in.ID(), Nonce: i.in.Nonce, Topic: i.in.Topic, TopicID: i.in.TopicID, Truncated: i.in.Truncated}
}

// makeWay moves letters first, so that no redrive takes them any more, then waits
// for one that has taken some, and moves the rows. It tells how many are left.
func (i *ingest) makeWay(ctx workflow.Context, job activities.AsideInput) (left int64, err error) {
	if err := i.enact(ctx, moving, act.KeepLetters, job, &i.out.KeptLetters); err != nil {
		return 0, err
	}
	var late bool
	if err := workflow.ExecuteActivity(patient(ctx), act.AwaitRedrive, batch.RedriveID(i.in.Group, i.in.Topic)).Get(ctx, &late); err != nil {
		return 0, err
	}
	if late {
		if err := workflow.Sleep(ctx, activities.Quiet); err != nil {
			return 0, err
		}
	}
	var kept activities.Kept
	err = i.enact(ctx, moving, act.KeepRows, job, &kept)
	i.out.KeptRows = kept.Rows
	return kept.Left, err
}

// enact runs an activity until it goes through; an operator can only have it tried
// again.
func (i *ingest) enact(ctx workflow.Context, how func(workflow.Context, pace) workflow.Context, activity, in, out any) error {
	try := func(ctx workflow.Context, p pace) error {
		return workflow.ExecuteActivity(how(ctx, p), activity, in).Get(ctx, out)
	}
	return i.endure(ctx, try(ctx, single), try)
}

// moving is for activities that change many rows: they heartbeat.
func moving(ctx workflow.Context, p pace) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: asideTimeout, HeartbeatTimeout: activities.HeartbeatTimeout, RetryPolicy: p.policy(), WaitForCancellation: true})
}

// resumeFor is how long a request waits for its planner. After that the operator
// asks anew, as the topic is by then.
const resumeFor = time.Hour

// ResumeInput asks to go on where Kafka lost records, exactly as named.
type ResumeInput struct {
	Group     string             `json:"group"`
	Topic     string             `json:"topic"`
	TopicID   batch.TopicID      `json:"topic_id"`
	Truncated []batch.Truncation `json:"truncated"`
}

// ResumeResult is what became of it.
type ResumeResult struct {
	Number      int64 `json:"number"` // of the entry that made way
	KeptRows    int64 `json:"kept_rows"`
	KeptLetters int64 `json:"kept_letters"`
}

// ResumeProgress is the answer of QueryProgress.
type ResumeProgress struct {
	Planned bool  `json:"planned"`
	Number  int64 `json:"number"`
}

// Resume is a request: the topic's planner answers it with an entry that makes way,
// once it finds the same loss and no batch is left that could store something there.
// It ends when that entry has, and waits for another one if it vanished. Ending a
// request from outside does no harm.
func Resume(ctx workflow.Context, in ResumeInput) (out ResumeResult, err error) {
	var told ResumeProgress
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (ResumeProgress, error) { return told, nil }); err != nil {
		return out, err
	}
	me := workflow.GetInfo(ctx).WorkflowExecution.ID
	for {
		told = ResumeProgress{}
		workflow.SetCurrentDetails(ctx, "It waits for the topic's consumer, and for batches that may store something where records were lost.")
		var p Planned
		if ok, _ := workflow.GetSignalChannel(ctx, SignalPlanned).ReceiveWithTimeout(ctx, resumeFor, &p); !ok {
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			return out, temporal.NewNonRetryableApplicationError("no consumer of this group found the same loss within "+resumeFor.String()+": look at its log, and ask again", "NotAnswered", nil)
		}
		told = ResumeProgress{Planned: true, Number: p.Number}
		id := batch.ID(in.Group, in.Topic, in.TopicID, p.Number)
		workflow.SetCurrentDetails(ctx, "Rows make way: "+id)
		var a activities.Awaited
		if err := workflow.ExecuteActivity(patient(ctx), act.AwaitBatch, activities.AwaitInput{Workflow: id, For: me}).Get(ctx, &a); err != nil {
			return out, err
		}
		if !a.Gone {
			return ResumeResult{Number: p.Number, KeptRows: a.Outcome.KeptRows, KeptLetters: a.Outcome.KeptLetters}, nil
		}
	}
}
