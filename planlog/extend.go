package planlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/ai-backlog/ingest/batch"
)

// extend appends entries while full ones wait and the window has room. It is not ok
// to go on in this round when others had planned: that may reach beyond a
// truncation, which the next round sees first.
func (p *Planner) extend(ctx context.Context, l Logs) (ok bool, err error) {
	p.remember(l)
	for p.mayStart() {
		b, ok := p.plan(l)
		if !ok {
			break
		}
		if ours, err := p.propose(ctx, b); !ours || err != nil {
			return false, err
		}
	}
	return true, nil
}

// propose starts number n (rule 6), and tells whether it became ours. After an
// unknown answer the same number is proposed again: if the first one was
// accepted after all, it is adopted.
func (p *Planner) propose(ctx context.Context, b batch.Batch) (bool, error) {
	st := p.st
	st.mine[b.Nonce] = true
	err := p.tempo.Start(ctx, b, false)
	switch {
	case err == nil, p.off.noAdopt && errors.Is(err, ErrExists), p.off.noSameNumber && !errors.Is(err, ErrExists):
		p.adopt(st, b, Running)
		st.seen = p.now()
		if !b.Replay {
			st.back, st.opening = map[int32]int64{}, false
		}
		return true, nil
	case !errors.Is(err, ErrExists):
		return false, fmt.Errorf("start batch %s: %w", b.ID(), err)
	case len(st.back) > 0 && !p.off.noRetake:
		p.drop("what to plan again may look different behind an entry of another planner")
		return false, nil
	}
	return false, p.walk(ctx, st)
}

// walk adopts entries up to the log's end.
func (p *Planner) walk(ctx context.Context, st *state) error {
	for {
		id := batch.ID(p.cfg.Group, p.cfg.Topic, st.topicID, st.n)
		b, s, err := p.tempo.Get(ctx, id)
		if errors.Is(err, ErrNotFound) {
			st.seen = p.now()
			return nil
		}
		if err != nil {
			return fmt.Errorf("read batch %s: %w", id, err)
		}
		if p.st == st && st.skips(b) && !p.off.noContinuity {
			p.drop("an entry begins above my position: an operator moved it, or its planner knew other entries")
			return nil
		}
		if p.off.noWalked {
			s = Completed
		}
		p.adopt(st, b, s)
	}
}

// skips tells whether the entry begins above where the one before it ended, in
// any partition.
func (st *state) skips(b batch.Batch) bool {
	if st.last != b.Number-1 {
		return false // that one was not read
	}
	for _, next := range b.Next {
		first, ok := begin(b, next.Partition)
		if !ok || b.Replay {
			first = next.Offset
		}
		if first > st.next[next.Partition].Offset {
			return true
		}
	}
	return false
}

// adopt moves the state past entry n.
func (p *Planner) adopt(st *state, b batch.Batch, s Status) {
	st.follow(b)
	if s != Completed {
		st.open[st.n] = &open{Batch: b}
	}
	if st.mine[b.Nonce] {
		p.announce(b)
	}
	st.n++
	st.dirty, st.mine = true, map[string]bool{}
}

// follow takes an entry's positions: also backwards. A replay's request is told of it by whoever reads it: the planner that
// appended it may have died before it could.
func (st *state) follow(b batch.Batch) {
	if b.For != "" {
		st.told = append(st.told, answer{b.For, b.Number, b.Ranges})
	}
	st.gap = st.gap || st.skips(b)
	st.last, st.next = b.Number, map[int32]batch.Position{}
	for _, next := range b.Next {
		st.next[next.Partition] = next
	}
}

func (p *Planner) announce(b batch.Batch) {
	p.log.Debug("batch planned", "batch", b.ID(), "ranges", b.Ranges, "replay", b.Replay)
	if len(b.Truncated) > 0 {
		p.log.Warn("goes on where kafka lost records, once their rows are moved aside", "batch", b.ID(), "truncated", b.Truncated)
	}
	if p.obs.Planned != nil {
		p.obs.Planned(b)
	}
	if len(b.Lost) > 0 {
		p.log.Error("kafka deleted records before they were planned", "batch", b.ID(), "lost", b.Lost)
		if p.obs.Lost != nil {
			p.obs.Lost(b)
		}
	}
}
