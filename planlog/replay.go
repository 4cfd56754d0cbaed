package planlog

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ai-backlog/ingest/batch"
)

// replays is what a planner knows of the open requests (rule 9).
type replays struct {
	asked    time.Time
	requests []Replay
	told     []answer                // entries that the requests may not know of yet
	planned  map[string]batch.Ranges // per request, since requests were listed
}

type answer struct {
	id     string
	n      int64
	ranges batch.Ranges
}

// replay appends entries for what was asked for, below the low watermark and
// beside what is open. Live batches come first, and keep most of the window.
func (p *Planner) replay(ctx context.Context) error {
	st := p.st
	if err := p.answer(ctx); err != nil {
		return err
	}
	if len(st.back) > 0 {
		return nil
	}
	if p.now().Sub(st.asked) >= replaysEvery {
		rs, err := p.tempo.Replays(ctx, batch.Prefix(p.cfg.Group, p.cfg.Topic, st.topicID))
		if err != nil {
			return fmt.Errorf("list replays: %w", err)
		}
		// Each of them was told of all that was planned before, so its list is the truth: an entry that had completed, and vanished
		// before its request looked, is nobody else's to remember.
		st.asked, st.requests, st.planned = p.now(), rs, nil
	}
	for _, r := range st.requests {
		for p.mayStart() && p.st == st && st.replaying() < max(1, p.cfg.Window/4) && !p.now().Before(r.NotBefore) {
			ours, err := p.replayPart(ctx, r)
			if !ours || err != nil {
				return err
			}
		}
	}
	return p.answer(ctx) // now, so that the next round's bookmark may pass over them
}

// answer tells requests of their entries. No bookmark is written before: a planner that takes over tells of what it reads, and
// it does not read an entry that has completed before the bookmark.
func (p *Planner) answer(ctx context.Context) error {
	st := p.st
	for len(st.told) > 0 {
		a := st.told[0]
		if err := p.tempo.Answer(ctx, a.id, a.n, a.ranges); err != nil {
			return fmt.Errorf("answer request %s: %w", a.id, err)
		}
		st.told = st.told[1:]
	}
	return nil
}

// replayPart appends one entry, if something of the request can be planned now.
func (p *Planner) replayPart(ctx context.Context, r Replay) (bool, error) {
	st := p.st
	rest := r.Ranges.Sort().Sub(st.planned[r.ID])
	if !p.off.noBelow {
		rest = rest.Sub(st.above(rest))
	}
	if !p.off.noOverlap {
		rest = rest.Sub(st.owned(p.off))
	}
	if len(rest) == 0 {
		return false, nil
	}
	b := p.entry()
	b.Ranges, b.Next, b.Replay = rest.Cut(p.limit(firstReplays))[0], positions(st.next), true
	b.For = r.ID
	ours, err := p.propose(ctx, b)
	if ours {
		if st.planned == nil {
			st.planned = map[string]batch.Ranges{}
		}
		st.planned[r.ID] = slices.Concat(st.planned[r.ID], b.Ranges).Sort()
	}
	return ours, err
}

func (st *state) replaying() (n int) {
	for _, o := range st.open {
		if o.Replay {
			n++
		}
	}
	return n
}

// above is everything from the low watermarks on, of the ranges' partitions.
func (st *state) above(rs batch.Ranges) (out batch.Ranges) {
	for _, r := range rs {
		out = append(out, batch.Range{Partition: r.Partition, First: st.low(r.Partition), Last: math.MaxInt64 - 1})
	}
	return out.Sort()
}
