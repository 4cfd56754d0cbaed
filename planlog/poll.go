package planlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ai-backlog/ingest/batch"
)

// poll looks after the open entries (rule 3): completed ones are forgotten,
// closed ones are started again, unknown ones are planned again.
func (p *Planner) poll(ctx context.Context) error {
	st := p.st
	for _, n := range slices.Sorted(maps.Keys(st.open)) {
		if err := p.pollOne(ctx, n, st.open[n]); err != nil {
			return fmt.Errorf("poll batch %s: %w", st.open[n].ID(), err)
		}
		if p.st == nil {
			return errDropped
		}
	}
	return nil
}

func (p *Planner) pollOne(ctx context.Context, n int64, o *open) error {
	st := p.st
	status, outcome, err := p.tempo.Poll(ctx, o.ID())
	if err == nil && status == Running {
		o.failed = time.Time{} // an operator reset it
		return nil
	}
	var b batch.Batch
	fresh := status
	if err == nil { // a number can be used again: is this still the entry that I know?
		if b, fresh, err = p.tempo.Get(ctx, o.ID()); err == nil && b.Nonce != o.Nonce && !p.off.noNonce {
			err = ErrNotFound
		}
	}
	switch {
	case errors.Is(err, ErrNotFound):
		p.vanished(n, o)
	case err != nil:
		return err
	case fresh != status: // the watcher is behind; next round
	case status == Completed || p.off.noFailed:
		delete(st.open, n)
		st.dirty = true
		p.measure(outcome)
		if p.obs.Completed != nil {
			p.obs.Completed(o.Batch, outcome)
		}
	case o.failed.IsZero() && !p.off.noWait:
		o.failed = p.now()
	case p.now().Sub(o.failed) >= p.cfg.Quiet && p.lease():
		return p.restart(ctx, b, o)
	}
	return nil
}

// restart starts a closed entry again, with the input that its last run had.
func (p *Planner) restart(ctx context.Context, b batch.Batch, o *open) error {
	b.Again = true
	err := p.tempo.Start(ctx, b, true)
	if errors.Is(err, ErrExists) { // somebody did
		return nil
	}
	if err == nil {
		o.failed = time.Time{}
		p.log.Warn("batch was ended from outside, started again", "batch", b.ID())
		if p.obs.Restarted != nil {
			p.obs.Restarted(b)
		}
	}
	return err
}

// vanished: deleted, or lost by Temporal. Its ranges are planned again, after
// the quiet time; a replay is asked for again by its request.
func (p *Planner) vanished(n int64, o *open) {
	st := p.st
	delete(st.open, n)
	st.dirty = true
	if p.off.noVanished {
		return
	}
	if len(o.Truncated) > 0 && !p.off.noGone { // whether it has made way nobody knows: what it went back to is not to be planned
		p.drop("an entry that makes way after a truncation is unknown to temporal")
		return
	}
	p.log.Error("batch is unknown to temporal, planned again", "batch", o.ID())
	if o.Replay {
		st.planned = nil
	} else {
		for _, pos := range o.Next {
			if first, ok := begin(o.Batch, pos.Partition); ok {
				st.back[pos.Partition] = min(first, st.at(pos.Partition).Offset)
			}
		}
	}
	p.wait(st)
	if p.obs.Vanished != nil {
		p.obs.Vanished(o.Batch)
	}
}
