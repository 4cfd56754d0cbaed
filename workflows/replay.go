package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

const (
	// SignalPlanned is the planner's answer to a request: Planned.
	SignalPlanned = "planned"
	// QueryRest is what a request still asks for: Rest.
	QueryRest = "rest"
	// QueryProgress is how far a request is: ReplayProgress.
	QueryProgress = "progress"

	// MaxReplayRanges bounds a request: its ranges are in its history, in each answer to QueryRest and in a batch.
	MaxReplayRanges = 2000
)

// ReplayInput asks that every offset of the ranges be present exactly once.
type ReplayInput struct {
	Group     string        `json:"group"`
	Topic     string        `json:"topic"`
	TopicID   batch.TopicID `json:"topic_id"`
	Ranges    batch.Ranges  `json:"ranges"`
	NotBefore time.Time     `json:"not_before,omitzero"` // the quiet time after rows were erased by hand
	Reason    string        `json:"reason,omitempty"`    // for people
	// So is where a continued run goes on.
	So *ReplayState `json:"so,omitempty"`
}

// Planned tells a request that batch n was appended for these ranges.
type Planned struct {
	Number int64        `json:"n"`
	Ranges batch.Ranges `json:"ranges"`
}

// Rest is what of a request no batch has been appended for, or only one that vanished.
type Rest struct {
	Ranges    batch.Ranges `json:"ranges,omitempty"`
	NotBefore time.Time    `json:"not_before,omitzero"`
	Asked     time.Time    `json:"asked"` // when the request was made: older ones come first
}

// ReplayResult is what the batches of a replay did. Offsets = Stored + Present + DeadLettered + Skipped + Lost + Holes.
type ReplayResult struct {
	Offsets      int64 `json:"offsets"`       // of the batches
	Present      int64 `json:"present"`       // rows and dead letters that were there before
	Stored       int64 `json:"stored"`        // rows that were inserted
	DeadLettered int64 `json:"dead_lettered"` // records that turned out to be undecodable
	Holes        int64 `json:"holes"`         // offsets without a record
	Lost         int64 `json:"lost"`          // neither there nor in Kafka any more
	Skipped      int64 `json:"skipped"`       // dropped by an operator's decision
	Batches      int   `json:"batches"`
}

// ReplayProgress is a request's progress: how many of the offsets asked for are covered by batches that have completed.
type ReplayProgress struct {
	ReplayResult
	Asked     int64     `json:"asked"`
	Covered   int64     `json:"covered"`
	Open      int       `json:"open"` // batches
	NotBefore time.Time `json:"not_before,omitzero"`
}

// ReplayState is what a request knows beyond its input.
type ReplayState struct {
	Asked  time.Time    `json:"asked"`
	Told   []Planned    `json:"told,omitempty"` // batches that are waited for
	Done   batch.Ranges `json:"done,omitempty"` // by batches that have completed
	Result ReplayResult `json:"result"`
}

// Replay is a request: it plans nothing. The topic's planner asks it for the rest, appends batches, and tells it of them. It
// stays open until batches that have completed cover all its ranges. What a batch that Temporal no longer knows was to cover
// belongs to the rest again, since the planner does not remember it. Ending a request from outside does no harm: what was
// planned goes on, the rest is not planned.
func Replay(ctx workflow.Context, in ReplayInput) (ReplayResult, error) {
	if n := len(in.Ranges); n == 0 || n > MaxReplayRanges {
		return ReplayResult{}, temporal.NewNonRetryableApplicationError(fmt.Sprintf("a replay has 1 to %d ranges, not %d", MaxReplayRanges, n), "BadRequest", nil)
	}
	r := &replay{in: in, asked: in.Ranges.Sort(), events: workflow.NewSelector(ctx)}
	if in.So != nil {
		r.so = *in.So
	} else {
		r.so.Asked = workflow.GetInfo(ctx).WorkflowStartTime
	}
	if err := r.answer(ctx); err != nil {
		return ReplayResult{}, err
	}
	// One coroutine and one selector: a signal that was delivered is either in the state or still in the channel, so that
	// continuing as new loses none.
	r.events.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { r.err = ctx.Err() })
	r.events.AddReceive(workflow.GetSignalChannel(ctx, SignalPlanned), func(c workflow.ReceiveChannel, _ bool) {
		var p Planned
		c.Receive(ctx, &p)
		r.told(ctx, p)
	})
	for _, p := range r.so.Told {
		r.await(ctx, p)
	}
	for len(r.asked.Sub(r.so.Done)) > 0 {
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() && !r.events.HasPending() {
			in.So = &r.so
			return ReplayResult{}, workflow.NewContinueAsNewError(ctx, Replay, in)
		}
		r.show(ctx)
		if r.events.Select(ctx); r.err != nil {
			return ReplayResult{}, r.err
		}
	}
	r.show(ctx)
	return r.so.Result, nil
}

type replay struct {
	in     ReplayInput
	asked  batch.Ranges
	so     ReplayState
	events workflow.Selector
	err    error
}

// answer registers the queries.
func (r *replay) answer(ctx workflow.Context) error {
	err := workflow.SetQueryHandler(ctx, QueryRest, func() (Rest, error) {
		return Rest{Ranges: r.rest(), NotBefore: r.in.NotBefore, Asked: r.so.Asked}, nil
	})
	if err != nil {
		return err
	}
	return workflow.SetQueryHandler(ctx, QueryProgress, func() (ReplayProgress, error) { return r.progress(), nil })
}

func (r *replay) rest() batch.Ranges {
	known := slices.Clone(r.so.Done)
	for _, p := range r.so.Told {
		known = append(known, p.Ranges...)
	}
	return r.asked.Sub(known.Sort())
}

func (r *replay) progress() ReplayProgress {
	return ReplayProgress{
		ReplayResult: r.so.Result, Asked: r.asked.Len(), Covered: r.asked.Len() - r.asked.Sub(r.so.Done).Len(), Open: len(r.so.Told), NotBefore: r.in.NotBefore,
	}
}

// told takes the planner's answer, which may come twice. A number comes with other ranges only after its batch vanished.
func (r *replay) told(ctx workflow.Context, p Planned) {
	p.Ranges = p.Ranges.Sort()
	if len(p.Ranges.Sub(r.so.Done)) == 0 || slices.ContainsFunc(r.so.Told, p.equal) {
		return
	}
	r.so.Told = slices.DeleteFunc(r.so.Told, func(o Planned) bool { return o.Number == p.Number })
	r.so.Told = append(r.so.Told, p)
	r.await(ctx, p)
}

func (p Planned) equal(o Planned) bool {
	return p.Number == o.Number && slices.Equal(p.Ranges, o.Ranges)
}

// await waits for a batch beside everything else.
func (r *replay) await(ctx workflow.Context, p Planned) {
	in := activities.AwaitInput{Workflow: batch.ID(r.in.Group, r.in.Topic, r.in.TopicID, p.Number), Ranges: p.Ranges}
	f := workflow.ExecuteActivity(patient(ctx), act.AwaitBatch, in)
	r.events.AddFuture(f, func(f workflow.Future) {
		var a activities.Awaited
		if err := f.Get(ctx, &a); err != nil {
			r.err = err
			return
		}
		r.ended(ctx, p, a)
	})
}

// ended counts a batch that has completed. One that vanished leaves its ranges to the rest.
func (r *replay) ended(ctx workflow.Context, p Planned, a activities.Awaited) {
	if !slices.ContainsFunc(r.so.Told, p.equal) { // the number was told with other ranges meanwhile
		return
	}
	r.so.Told = slices.DeleteFunc(r.so.Told, p.equal)
	if a.Gone {
		workflow.GetLogger(ctx).Warn("batch of a replay vanished, asked for again", "batch", batch.ID(r.in.Group, r.in.Topic, r.in.TopicID, p.Number))
		return
	}
	r.so.Done = append(r.so.Done, p.Ranges...).Sort()
	s, o := &r.so.Result, a.Outcome
	s.Batches++
	s.Offsets += o.Offsets
	s.Present += o.Present
	s.Stored += o.Stored
	s.DeadLettered += o.DeadLettered
	s.Holes += o.Holes
	s.Lost += o.Lost
	s.Skipped += o.Skipped
}

// show makes the progress readable in Temporal's UI.
func (r *replay) show(ctx workflow.Context) {
	p := r.progress()
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**%d of %d offsets** of %s are there, by %d batches; %d batches are open.\n\n%d inserted, %d were there already, %d dead-lettered, %d holes, %d lost, %d skipped.",
		p.Covered, p.Asked, r.in.Topic, p.Batches, p.Open, p.Stored, p.Present, p.DeadLettered, p.Holes, p.Lost, p.Skipped))
}
