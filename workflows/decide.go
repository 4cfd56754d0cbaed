package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// carryOut does what an operator decided to what is absent. The activity that
// ran has ended; what it sent may still land, so the quiet time and a look come
// first.
func (i *ingest) carryOut(ctx workflow.Context) error {
	i.deciding = true
	defer func() { i.deciding, i.touching, i.passed = false, false, nil }()
	d := *i.decision
	workflow.SetCurrentDetails(ctx, "**"+d.String()+"** waits until nothing of the batch can land any more, and for a look; then it takes effect on what is absent. `retry` takes it back until then.")
	if err := i.settle(ctx); err != nil {
		return err
	}
	for more := true; more; {
		seen, err := i.look(ctx)
		if err != nil {
			return err
		}
		if seen.Warrant.Run != i.run { // an operator's reset: what the old run sent may still land
			i.run = seen.Warrant.Run
			i.began(i.run)
			if err := i.settle(ctx); err != nil {
				return err
			}
			continue
		}
		at := seen.Absent.Sub(i.gone)
		if d.Verb == DeadLetter && !d.All && i.fault.Len() > 0 {
			at = at.Sub(at.Sub(i.fault))
		}
		if at.Len() == 0 {
			break
		}
		if i.decision == nil { // taken back
			return nil
		}
		more, i.touching = !seen.Complete, true
		if d.Verb == Skip {
			err = i.skip(ctx, at, d.Reason)
		} else {
			var routed bool
			routed, err = i.letter(ctx, seen, at)
			more = more || !routed
		}
		if err != nil {
			return err
		}
	}
	if i.decision != nil {
		i.decided("")
	}
	i.idle = 0
	return nil
}

// skip drops the offsets; audit reads why.
func (i *ingest) skip(ctx workflow.Context, at batch.Ranges, reason string) error {
	if err := i.note(ctx, activities.ExceptionSkipped, at, reason); err != nil {
		return err
	}
	i.skipped = append(i.skipped, at...).Sort()
	return nil
}

// letter routes the offsets, whatever is wrong with them, and tells whether it did.
func (i *ingest) letter(ctx workflow.Context, seen activities.Seen, at batch.Ranges) (bool, error) {
	in := activities.DeadLetterInput{
		Job: i.job(at), Warrant: seen.Warrant,
		All: &activities.Verdict{Reason: i.trouble.Name, Code: i.trouble.Code, Message: i.trouble.Message},
	}
	_, trouble, err := i.deadLetter(ctx, in)
	i.turn++
	if trouble == nil {
		i.passed = append(i.passed, at...).Sort()
		return true, err
	}
	if trouble.Gone != nil { // Kafka lost them meanwhile
		i.lose(*trouble.Gone)
	} else if trouble.Class != activities.Expired { // which the next look cures
		err = i.block(ctx, *trouble)
	}
	if err == nil && trouble.Progress.Doubt {
		err = i.settle(ctx)
	}
	return false, err
}
