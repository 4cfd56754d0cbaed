package planlog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ai-backlog/ingest/batch"
)

// resume is what a topic that stands still waits for (rule 10): an operator's
// request that names what was lost as the leader names it now. The entry that
// answers it goes back to where the lost records began, under the new leader's
// epoch, so that whoever reads it goes on from there; and it makes way first, by
// moving the rows of lost records aside, while nothing else is started. So it is
// appended when no open entry can store a row there any more.
//
// A request that does not fit, since the partition was truncated again, waits until
// somebody asks anew.
func (p *Planner) resume(ctx context.Context, l Logs, stop error) error {
	if !errors.Is(stop, ErrTruncated) {
		return stop
	}
	p.stopped, p.until = stop, p.now().Add(stoppedFor)
	if err := p.answer(ctx); err != nil {
		return errors.Join(stop, err)
	}
	requests, err := p.tempo.Resumes(ctx, batch.Prefix(p.cfg.Group, p.cfg.Topic, p.st.topicID))
	if err != nil {
		return errors.Join(stop, fmt.Errorf("list requests to resume: %w", err))
	}
	if len(requests) == 0 {
		p.st = nil // what the operator decides by moving offsets is found by a takeover
		return stop
	}
	id, cuts := p.fitting(requests)
	if err := p.poll(ctx); err != nil { // somebody may have ended what is waited for
		return errors.Join(stop, err)
	}
	st := p.st
	if busy := st.touching(cuts); busy != "" && !p.off.noClear {
		p.stopped = fmt.Errorf("%w (to be resumed once batch %s is done)", stop, busy)
		return p.stopped
	}
	if len(cuts) == 0 || st.standing() || p.now().Before(st.quiet) || !p.lease() {
		return stop
	}
	p.until = p.now() // go on at once
	if ours, err := p.propose(ctx, p.wayBack(l, id, cuts)); !ours || err != nil {
		return errors.Join(stop, err)
	}
	return nil
}

// fitting is the first request that names what is known of truncations now.
func (p *Planner) fitting(requests []Resume) (id string, cuts []batch.Truncation) {
	for _, r := range requests {
		for _, t := range r.Truncated {
			if d := p.doubts[t.Partition]; d.stop && d.cut != nil && d.cut.Same(t) {
				cuts = append(cuts, *d.cut)
			}
		}
		if len(cuts) > 0 {
			return r.ID, cuts
		}
	}
	return "", nil
}

// touching names an open entry that may store rows, or notes, where lost records were.
func (st *state) touching(cuts []batch.Truncation) string {
	for _, o := range st.open {
		for _, t := range cuts {
			if slices.ContainsFunc(slices.Concat(o.Ranges, o.Lost, o.Opened), t.Took) {
				return o.ID()
			}
		}
	}
	return ""
}

// standing is while an entry makes way.
func (st *state) standing() bool {
	for _, o := range st.open {
		if len(o.Truncated) > 0 {
			return true
		}
	}
	return false
}

// wayBack is the entry that goes on from where the lost records began. All other
// partitions stay where they are, also those that are to be planned again.
func (p *Planner) wayBack(l Logs, id string, cuts []batch.Truncation) batch.Batch {
	b := p.entry()
	b.Truncated, b.For = cuts, id
	next := map[int32]batch.Position{}
	for _, part := range p.st.partitions(l, nil) {
		next[part] = p.st.at(part)
	}
	for _, t := range cuts {
		next[t.Partition] = batch.Position{Partition: t.Partition, Offset: min(next[t.Partition].Offset, t.End), Epoch: t.Leader, Aside: b.Number, End: t.End}
	}
	b.Next = positions(next)
	return b
}
