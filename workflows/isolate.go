package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// isolate ends a turn whose block the server refuses because of a value: it
// finds the rows at fault, stores the others with one insert, and routes exactly
// those. A search that names no more rows leaves the rest of the block to the
// next turn. The look after the refused insert entitles to all of it.
func (i *ingest) isolate(ctx workflow.Context, seen activities.Seen, t activities.Trouble) error {
	i.turn++
	part := i.fault
	if err := i.tell(ctx, isolating, t); err != nil {
		return err
	}
	found, trouble, err := i.search(ctx, part, i.refusable(seen))
	switch {
	case err != nil || trouble != nil:
		return i.after(ctx, trouble, err)
	case found.Taken:
		t.Class = activities.Blocked
		t.Message = "the table refuses a block that its clone takes: " + t.Message
		return i.block(ctx, t)
	case found.Flood:
		return i.hold(ctx, "more than half of the records are refused by ClickHouse: "+t.Message)
	}
	searched := part.Slice(0, found.Through)
	good := searched.Sub(found.Bad)
	return i.divide(ctx, seen, good, found.Bad)
}

// divide stores the good records and routes the bad ones.
func (i *ingest) divide(ctx workflow.Context, seen activities.Seen, good, bad batch.Ranges) error {
	ins := activities.Inserted{Clean: true}
	if good.Len() > 0 {
		var trouble *activities.Trouble
		var err error
		if ins, trouble, err = i.insert(ctx, activities.Seen{Warrant: i.warrant}, good); err != nil || trouble != nil {
			return i.after(ctx, trouble, err)
		}
	}
	in := activities.DeadLetterInput{Job: i.job(good), Warrant: i.warrant, Rejected: ins.Rejected, Faults: ins.Faults, Bad: bad}
	i.turn++
	i.out.Turns++
	i.doubt = ins.Doubt
	i.counted = true
	if !ins.Clean {
		return nil // what is still absent is searched again
	}
	if why := i.flood(seen, ins); why != "" {
		return i.hold(ctx, why)
	}
	_, trouble, err := i.deadLetter(ctx, in)
	if err != nil || trouble != nil {
		return i.after(ctx, trouble, err)
	}
	i.idle = 0
	if i.letters != "" {
		i.refused = append(i.refused, bad...).Sort()
	}
	return nil
}

// tooMany is how many more dead letters the batch may have; 0: any number, since
// it is small, or somebody has approved them, or they were counted.
func (i *ingest) tooMany(seen activities.Seen) int64 {
	records := i.in.Ranges.Len()
	if i.approved || records <= floodRecords {
		return 0
	}
	return max(1, records/2-(seen.Dead-i.first.Dead))
}

// flood says that too many records cannot be decoded; "" if that is not so.
func (i *ingest) flood(seen activities.Seen, ins activities.Inserted) string {
	if most := i.tooMany(seen); most == 0 || ins.Rejected <= most || 2*ins.Rejected <= ins.Done-ins.Holes {
		return ""
	}
	return fmt.Sprintf("%d of %d records cannot be decoded", ins.Rejected, ins.Done-ins.Holes)
}

// refusable is how many rows the server may refuse; 0: any number.
func (i *ingest) refusable(seen activities.Seen) int64 {
	if i.counted {
		return 0
	}
	return i.tooMany(seen)
}

// hold asks whether the records are bad, and waits for the answer.
func (i *ingest) hold(ctx workflow.Context, why string) error {
	if err := i.tell(ctx, held, activities.Trouble{Class: activities.Blocked, Name: "TOO_MANY_DEAD_LETTERS", Message: why}); err != nil {
		return err
	}
	if err := workflow.Await(ctx, func() bool { return i.decision != nil }); err != nil {
		return err
	}
	i.stuck = false
	if v, ok := i.given(Approve, Retry); ok && v == Approve {
		i.approved = true
	}
	if i.decision != nil && i.decision.Verb == DeadLetter && !i.decision.All { // of what is at fault: the same as to approve
		i.decided("")
		i.approved = true
	}
	return nil
}
