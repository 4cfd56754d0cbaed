package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// act gives the names of the activities, checked by the compiler.
var act *activities.Activities

// job is what the turn acts upon.
func (i *ingest) job(ranges batch.Ranges) activities.Job {
	j := activities.JobOf(i.in, i.turn, ranges)
	j.Run = i.name
	if i.letters != "" {
		j.Workflow, j.Letters = i.letters, true
	}
	return j
}

// look asks what is there. The good path asks by a local activity; when that
// fails, the batch waits.
func (i *ingest) look(ctx workflow.Context) (seen activities.Seen, err error) {
	job := i.job(i.in.Ranges)
	job.Skip = slices.Concat(i.proven.Ranges, i.skipped, i.passed).Sort()
	err = workflow.ExecuteLocalActivity(local(ctx), act.Look, job).Get(ctx, &seen)
	if err == nil {
		return seen, nil
	}
	err = i.endure(ctx, err, func(ctx workflow.Context, p pace) error {
		return workflow.ExecuteActivity(short(ctx, p), act.Look, job).Get(ctx, &seen)
	})
	return seen, err
}

// taken asks what became of a block whose insert was answered with an error.
func (i *ingest) taken(ctx workflow.Context, block activities.Job) (out activities.Taken, err error) {
	try := func(ctx workflow.Context, p pace) error {
		return workflow.ExecuteActivity(short(ctx, p), act.Taken, block).Get(ctx, &out)
	}
	err = i.endure(ctx, try(ctx, single), try)
	return out, err
}

// insert sends what is absent, resending the same rows under the same tokens
// through any outage, until it is through or the look no longer allows it.
func (i *ingest) insert(ctx workflow.Context, seen activities.Seen, absent batch.Ranges) (activities.Inserted, *activities.Trouble, error) {
	in := activities.InsertInput{Job: i.job(absent), Warrant: seen.Warrant}
	var out activities.Inserted
	try := func(ctx workflow.Context, p pace) error {
		err := workflow.ExecuteActivity(long(ctx, p), act.Insert, in).Get(ctx, &out)
		if err != nil {
			in.From = in.From.After(activities.TroubleOf(err).Progress)
		}
		return err
	}
	trouble, err := i.persist(ctx, try(ctx, single), try, func(t *activities.Trouble) error { return i.judge(ctx, in, t) })
	switch {
	case err != nil:
		return out, nil, err
	case trouble == nil:
		i.view = nil
		return out, nil, nil
	case trouble.Class == activities.Expired && i.view != nil:
		err = i.filled(ctx, *trouble)
	}
	i.view = nil
	trouble.Progress = in.From
	return out, trouble, err
}

// search finds the rows of a block that the server refuses.
func (i *ingest) search(ctx workflow.Context, block batch.Ranges, flood int64) (out activities.Isolated, trouble *activities.Trouble, err error) {
	in := activities.IsolateInput{Job: i.job(block), Flood: flood}
	try := func(ctx workflow.Context, p pace) error {
		return workflow.ExecuteActivity(long(ctx, p), act.Isolate, in).Get(ctx, &out)
	}
	trouble, err = i.persist(ctx, try(ctx, single), try, nil)
	return out, trouble, err
}

// deadLetter routes records of the turn.
func (i *ingest) deadLetter(ctx workflow.Context, in activities.DeadLetterInput) (activities.Routed, *activities.Trouble, error) {
	var out activities.Routed
	doubt, tries := false, 0
	try := func(ctx workflow.Context, p pace) error {
		tries++
		err := workflow.ExecuteActivity(long(ctx, p), act.DeadLetter, in).Get(ctx, &out)
		doubt = doubt || err != nil && activities.TroubleOf(err).Progress.Doubt
		return err
	}
	trouble, err := i.persist(ctx, try(ctx, single), try, nil)
	if trouble != nil {
		trouble.Progress.Doubt = doubt
	}
	out.Clean = out.Clean && tries == 1
	return out, trouble, err
}

// note remembers ranges that will never be rows.
func (i *ingest) note(ctx workflow.Context, kind activities.Exception, ranges batch.Ranges, reason string) error {
	if len(ranges) == 0 {
		return nil
	}
	in := activities.NoteInput{Job: activities.JobOf(i.in, 0, ranges), Kind: kind, Reason: reason}
	try := func(ctx workflow.Context, p pace) error {
		return workflow.ExecuteActivity(short(ctx, p), act.Note, in).Get(ctx, nil)
	}
	return i.endure(ctx, try(ctx, single), try)
}

// settle ends what still runs of the batch's inserts and waits until nothing
// can land any more.
func (i *ingest) settle(ctx workflow.Context) error {
	try := func(ctx workflow.Context, p pace) error {
		return workflow.ExecuteActivity(short(ctx, p), act.Settle, i.job(nil)).Get(ctx, nil)
	}
	if err := i.endure(ctx, try(ctx, single), try); err != nil {
		return err
	}
	i.doubt = false
	return workflow.Sleep(ctx, activities.Quiet)
}
