package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// Ingest brings every record of a batch to exactly one place: look what is
// there, insert the rest; while the cause is outside the data, wait and try
// again; if records are at fault, dead-letter them. It ends when its books
// balance and is never failed: what cannot go on stays open.
func Ingest(ctx workflow.Context, in batch.Batch) (batch.Outcome, error) {
	i := &ingest{in: in, turn: in.Turn, run: originalRun(ctx), approved: in.Approved}
	if s, ok := workflow.GetTypedSearchAttributes(ctx).GetKeyword(AttributeState); ok { // of the run before
		i.state = state(s)
	}
	if in.Proven != nil {
		i.proven = *in.Proven
	}
	i.goOn = i.again
	if err := i.listen(ctx); err != nil {
		return batch.Outcome{}, err
	}
	if err := i.note(ctx, activities.ExceptionOpened, in.Opened, "before the group's starting position"); err != nil {
		return batch.Outcome{}, err
	}
	if err := i.note(ctx, activities.ExceptionLost, in.Lost, "deleted by Kafka before it was planned"); err != nil {
		return batch.Outcome{}, err
	}
	if in.Again || workflow.GetInfo(ctx).ContinuedExecutionRunID != "" {
		i.began(originalRun(ctx))
		if err := i.settle(ctx); err != nil {
			return batch.Outcome{}, err
		}
	}
	for !i.balanced {
		if err := i.takeTurn(ctx); err != nil {
			return batch.Outcome{}, err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() && !i.balanced && i.decision == nil && i.skipped.Len() == 0 {
			return batch.Outcome{}, i.again(ctx)
		}
	}
	return i.close(ctx)
}

// again goes on in a new run, with a history of its own. It begins by settling.
func (i *ingest) again(ctx workflow.Context) error {
	in := i.in
	in.Turn, in.Approved, in.Proven = i.turn+1, i.approved, &i.proven
	return workflow.NewContinueAsNewError(ctx, Ingest, in)
}

// began gives a run that is not the first tokens of its own: those of its turns
// may have been used, and a token that the server knows stores nothing.
func (i *ingest) began(run string) { i.name = run[:min(8, len(run))] }

// originalRun is the run whose history this one began with: after an operator's
// reset still the old one, so that replaying the history decides alike.
func originalRun(ctx workflow.Context) string {
	if id := workflow.GetInfo(ctx).OriginalRunID; id != "" {
		return id
	}
	return workflow.GetInfo(ctx).WorkflowExecution.RunID
}

// ingest is the state of one batch's workflow.
type ingest struct {
	in   batch.Batch
	turn int    // k: part of every token of the turn
	run  string // the run whose looks are trusted
	name string // of the run in its tokens; the first has none

	first    *activities.Seen // what was there before this run did anything
	gone     batch.Ranges     // what Kafka turned out to have deleted, stored before or not
	lost     batch.Ranges     // of gone, what no look found
	deleted  int              // turns in a row to which Kafka said that the topic was deleted
	proven   batch.Proven     // what clean turns have been through, when a look could not list all that is absent
	doubt    bool             // something may be in flight that no token of a finished turn covers
	there    int64            // offsets that the last look found
	idle     int              // turns in a row that changed nothing
	balanced bool
	out      batch.Outcome

	state    state
	since    time.Time          // it is in that state
	trouble  activities.Trouble // the last that was told
	fault    batch.Ranges       // of the turn: the block whose insert was answered with an error
	warrant  activities.Warrant // of the look after that answer
	view     *viewFault         // that threw on it
	stuck    bool               // it waits for what may be decided about
	approved bool               // the flood guard was told to let the batch pass
	counted  bool               // a search has shown that what the server refuses is no flood
	passed   batch.Ranges       // what a decision has been through: the rest of it are holes
	skipped  batch.Ranges       // what an operator dropped
	decision *Decision          // to be carried out
	deciding bool               // nothing is interrupted now
	touching bool               // the decision has begun to take effect

	aside   bool                         // it makes way after a truncation
	letters string                       // ID of the redrive, if it is one
	refused batch.Ranges                 // dead letters of the block that stay dead
	goOn    func(workflow.Context) error // in a new run
}

// takeTurn is one turn of the loop: look, insert what is absent, balance.
func (i *ingest) takeTurn(ctx workflow.Context) error {
	if i.interrupted() {
		return i.carryOut(ctx)
	}
	i.fault = nil
	if i.doubt {
		if err := i.settle(ctx); err != nil {
			return err
		}
	}
	seen, err := i.look(ctx)
	if err != nil {
		return err
	}
	if seen.Warrant.Run != i.run { // an operator's reset: inserts of the old run may still be on their way
		i.run, i.doubt = seen.Warrant.Run, true
		i.began(i.run)
		return nil
	}
	if i.interrupted() {
		return nil
	}
	if i.first == nil {
		i.first = &seen
	}
	if there := seen.Stored + seen.Dead; there > i.there {
		i.there, i.idle = there, 0
	}
	absent := seen.Absent.Sub(i.gone).Sub(i.refused)
	if absent.Len() == 0 {
		i.balance(seen, activities.Inserted{Clean: true}, activities.Routed{Clean: true})
		return i.guard(ctx, "nothing is absent, and the counts do not add up")
	}
	ins, trouble, err := i.insert(ctx, seen, absent)
	if err == nil && trouble != nil && trouble.Class == activities.Rejected && i.fault.Len() > 0 {
		return i.isolate(ctx, seen, *trouble)
	}
	if err != nil || trouble != nil {
		return i.after(ctx, trouble, err)
	}
	i.doubt = ins.Doubt
	var routed activities.Routed
	if ins.Clean && ins.Rejected > 0 {
		if why := i.flood(seen, ins); why != "" {
			i.turn++
			return i.hold(ctx, why)
		}
		in := activities.DeadLetterInput{Job: i.job(absent), Warrant: seen.Warrant, Rejected: ins.Rejected, Faults: ins.Faults}
		if routed, trouble, err = i.deadLetter(ctx, in); err != nil || trouble != nil {
			return i.after(ctx, trouble, err)
		}
	}
	routed.Clean = routed.Clean || ins.Rejected == 0
	i.balance(seen, ins, routed)
	return i.guard(ctx, "turns that were acknowledged left these offsets absent: "+head(absent))
}

// after draws the conclusions of a turn that did not go through.
func (i *ingest) after(ctx workflow.Context, t *activities.Trouble, err error) error {
	if err != nil {
		return err
	}
	i.turn++
	i.doubt = i.doubt || t.Progress.Doubt
	if t.Gone == nil {
		i.deleted = 0
		if t.Class == activities.Decided {
			return nil
		}
		return i.guard(ctx, t.Message)
	}
	if t.Gone.Partition < 0 {
		if i.deleted++; i.deleted < deletedTurns {
			t.Message += fmt.Sprintf("; its records count as lost when Kafka still says so in %s (is KAFKA_SERVERS of every worker right?)", time.Duration(deletedTurns-i.deleted)*blockedEvery)
			return i.block(ctx, *t)
		}
	}
	i.lose(*t.Gone)
	return nil
}

// lose remembers what Kafka has deleted.
func (i *ingest) lose(gone activities.Gone) {
	for _, r := range i.in.Ranges {
		switch {
		case gone.Partition != r.Partition:
		case gone.Truncated:
			r.First = max(r.First, gone.From)
		default:
			r.Last = min(r.Last, gone.Start-1)
		}
		if gone.Partition == r.Partition || gone.Partition < 0 {
			i.gone = append(i.gone, r)
		}
	}
	i.gone = i.gone.Sort()
}

// balance closes the books when the counts prove them: after a clean turn that
// covered all that was absent. After one that covered only the first of it,
// since a look lists no more, the next turn goes on behind that; after anything
// else it looks again.
func (i *ingest) balance(seen activities.Seen, ins activities.Inserted, routed activities.Routed) {
	i.turn++
	i.out.Turns++
	i.out.Bytes = max(i.out.Bytes, ins.Bytes)
	if !ins.Clean || !routed.Clean {
		return
	}
	i.lost = append(slices.Clone(i.proven.Lost), seen.Absent.Sub(seen.Absent.Sub(i.gone))...)
	if !seen.Complete {
		i.proven = batch.Proven{Ranges: upTo(seen.Absent[len(seen.Absent)-1], i.in.Ranges), Lost: i.lost, Holes: i.proven.Holes + ins.Holes}
		i.idle = 0
		return
	}
	o := batch.Outcome{
		Offsets: i.in.Ranges.Len(), Present: i.first.Stored + i.first.Dead, Lost: i.lost.Len(), Holes: i.proven.Holes + ins.Holes, Bytes: i.out.Bytes, Skipped: i.skipped.Len(),
		Stored:       seen.Stored - i.first.Stored + ins.Stored,
		DeadLettered: seen.Dead - i.first.Dead + routed.Count + i.refused.Len(),
		Turns:        i.out.Turns, Retries: i.out.Retries, Decisions: i.out.Decisions,
	}
	if o.DeadLettered < 0 { // a redrive has stored what the first look found among them: that is present, and not of this batch
		o.Stored, o.DeadLettered = o.Stored+o.DeadLettered, 0
	}
	i.out, i.balanced = o, o.Balanced()
}

// upTo is the part of the ranges that does not come after the last one, in order.
func upTo(last batch.Range, ranges batch.Ranges) (rs batch.Ranges) {
	for _, r := range ranges {
		if r.Partition == last.Partition {
			r.Last = min(r.Last, last.Last)
		}
		if r.Partition <= last.Partition && r.Len() > 0 {
			rs = append(rs, r)
		}
	}
	return rs.Sort()
}

// guard blocks a batch whose turns change nothing.
func (i *ingest) guard(ctx workflow.Context, why string) error {
	if i.balanced {
		return nil
	}
	if i.idle++; i.idle < maxIdleTurns {
		return nil
	}
	i.idle = 0
	return i.block(ctx, activities.Trouble{Class: activities.Blocked, Name: "BOOKS_DO_NOT_BALANCE", Message: why})
}

// close records what was lost and says how the batch ended.
func (i *ingest) close(ctx workflow.Context) (batch.Outcome, error) {
	if i.out.Lost > 0 {
		if err := i.note(ctx, activities.ExceptionLost, i.lost, "deleted by Kafka before it was read"); err != nil {
			return batch.Outcome{}, err
		}
	}
	return i.out, i.tellEnd(ctx)
}
