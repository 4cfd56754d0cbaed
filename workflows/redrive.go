package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// RedriveInput asks for dead letters to be decoded and stored again, under their
// own coordinates.
type RedriveInput struct {
	Group   string             `json:"group"`
	Letters activities.Letters `json:"letters"`
	Limit   int64              `json:"limit,omitempty"` // at most so many; 0: all
	Rate    int64              `json:"rate,omitempty"`  // a second; 0: as fast as it goes
	Nonce   string             `json:"nonce"`           // random: part of its tokens
	// Again says that the last redrive of the topic was ended from outside:
	// inserts of it may still be on their way.
	Again bool `json:"again,omitempty"`

	// What a continued run has from the one before.
	After *activities.Place `json:"after,omitempty"`
	Done  RedriveResult     `json:"done"`
	Turn  int               `json:"turn,omitempty"`
}

// RedriveResult counts dead letters: Picked = Stored + Present + Refused + Gone.
type RedriveResult struct {
	Picked  int64 `json:"picked"`
	Stored  int64 `json:"stored"`         // rows that the redrive sent
	Present int64 `json:"present"`        // were rows already: of a redrive that was ended before it had marked them
	Refused int64 `json:"refused"`        // stay dead, with today's reason
	Gone    int64 `json:"gone,omitempty"` // were deleted by hand meanwhile
	Retries int   `json:"retries"`
	// Trouble is how it stands, in an answer of QueryProgress: a state and the
	// error's name.
	Trouble string `json:"trouble,omitempty"`
}

// redriveBlock is how many dead letters go in with one insert. refusedBlock is
// that after the server has refused a row: an isolation names all bad ones then.
const redriveBlock, refusedBlock = 10_000, 500

// Redrive takes dead letters from the table, decodes them with today's code,
// stores them under their own coordinates, and marks them as redriven. What is
// refused again stays dead, with today's reason.
//
// It is exact as a batch is: each block is exact coordinates that a look found
// absent from the table, sent under one token through any number of attempts. One
// redrive of a topic runs at a time, by its workflow ID; a replay beside it leaves
// out what is among the dead letters. Between storing and marking a record is in
// both places, under the same coordinates, which the mark resolves whenever it
// comes. It takes decisions as a batch does: retry, and accept of a view's fault.
func Redrive(ctx workflow.Context, in RedriveInput) (RedriveResult, error) {
	i := &ingest{
		in: batch.Batch{Group: in.Group, Topic: in.Letters.Topic, Nonce: in.Nonce, Limits: redriveLimits}, turn: in.Turn, run: originalRun(ctx), approved: true,
		letters: workflow.GetInfo(ctx).WorkflowExecution.ID,
	}
	r := &redrive{in: in, i: i, out: in.Done}
	i.goOn = func(ctx workflow.Context) error { return r.again(ctx, true) }
	if in.Letters.Until.IsZero() { // what comes meanwhile is the next one's
		r.in.Letters.Until = workflow.Now(ctx)
	}
	if err := i.listen(ctx); err != nil {
		return r.out, err
	}
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (RedriveResult, error) { return r.progress(), nil }); err != nil {
		return r.out, err
	}
	if in.Again {
		if err := i.settle(ctx); err != nil {
			return r.out, err
		}
	}
	for more := true; more; {
		var err error
		if more, err = r.block(ctx); err != nil {
			return r.out, err
		}
		if more && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return r.out, r.again(ctx, false)
		}
	}
	if err := i.tellEnd(ctx); err != nil {
		return r.out, err
	}
	workflow.SetCurrentDetails(ctx, r.String())
	return r.out, nil
}

func (r *redrive) progress() RedriveResult {
	out := r.out
	if r.i.state == waiting || r.i.state == blocked {
		out.Trouble = string(r.i.state) + ": " + r.i.trouble.Name
	}
	return out
}

// String is one line on how far it is.
func (r *redrive) String() string {
	return fmt.Sprintf("redrive of %s: %d dead letters taken, %d stored, %d were there, %d stay dead", r.i.in.Topic, r.out.Picked, r.out.Stored, r.out.Present, r.out.Refused)
}

// redriveLimits cut a block by bytes only: what belongs together is few records
// among many offsets.
var redriveLimits = batch.Limits{BlockRecords: 1 << 40, BlockBytes: batch.BlockBytes}

type redrive struct {
	in  RedriveInput
	i   *ingest
	out RedriveResult
}

// again goes on in a new run; with doubt in the middle of a block, which that run
// picks again.
func (r *redrive) again(ctx workflow.Context, doubt bool) error {
	in := r.in
	in.Again, in.Done, in.Turn = doubt, r.out, r.i.turn+1
	return workflow.NewContinueAsNewError(ctx, Redrive, in)
}

// block redrives the next dead letters, and tells whether there were any.
func (r *redrive) block(ctx workflow.Context) (bool, error) {
	i := r.i
	most := int64(redriveBlock)
	if i.trouble.Class == activities.Rejected {
		most = refusedBlock
	}
	if r.in.Rate > 0 {
		most = min(most, r.in.Rate)
	}
	if r.in.Limit > 0 {
		most = min(most, r.in.Limit-r.out.Picked)
	}
	if most <= 0 {
		return false, nil
	}
	picked, err := r.pick(ctx, most)
	if err != nil || len(picked.Ranges) == 0 {
		return false, err
	}
	i.in.TopicID, i.in.Ranges = picked.TopicID, picked.Ranges
	i.begin()
	for !i.balanced {
		if err := i.takeTurn(ctx); err != nil {
			return false, err
		}
	}
	if err := r.mark(ctx); err != nil {
		return false, err
	}
	r.in.After = &picked.Last
	r.count()
	if i.state != "" { // what held this block up is over
		i.state, i.since = "", time.Time{}
		if err := workflow.UpsertTypedSearchAttributes(ctx, AttributeState.ValueUnset(), AttributeError.ValueUnset()); err != nil {
			return false, err
		}
	}
	workflow.SetCurrentDetails(ctx, r.String())
	if r.in.Rate > 0 {
		return true, workflow.Sleep(ctx, time.Duration(picked.Ranges.Len())*time.Second/time.Duration(r.in.Rate))
	}
	return true, nil
}

func (r *redrive) count() {
	o := r.i.out
	r.out.Picked += o.Offsets
	r.out.Stored += o.Stored
	r.out.Present += o.Present
	r.out.Refused += o.DeadLettered
	r.out.Gone += o.Holes
	r.out.Retries += o.Retries
}

func (r *redrive) pick(ctx workflow.Context, most int64) (out activities.Picked, err error) {
	in := activities.PickInput{Letters: r.in.Letters, After: r.in.After, Most: most}
	try := func(ctx workflow.Context, p pace) error {
		return workflow.ExecuteActivity(short(ctx, p), act.Pick, in).Get(ctx, &out)
	}
	return out, r.i.endure(ctx, try(ctx, single), try)
}

func (r *redrive) mark(ctx workflow.Context) error {
	job := r.i.job(r.i.in.Ranges)
	try := func(ctx workflow.Context, p pace) error {
		return workflow.ExecuteActivity(short(ctx, p), act.Mark, job).Get(ctx, nil)
	}
	return r.i.endure(ctx, try(ctx, single), try)
}

// begin makes the books of another block; what is known of the workflow's run,
// its turns and its trouble stays.
func (i *ingest) begin() {
	i.first, i.gone, i.lost, i.proven, i.refused = nil, nil, nil, batch.Proven{}, nil
	i.there, i.idle, i.balanced, i.out = 0, 0, false, batch.Outcome{Decisions: i.out.Decisions}
}
