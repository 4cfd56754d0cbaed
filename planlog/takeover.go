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

// found is what the committed offsets say.
type found struct {
	commits int
	other   bool             // a bookmark of another topic ID: the topic was created again
	from    int64            // number after the last that the bookmarks know; -1 without one
	low     map[int32]int64  // low watermarks of bookmarks of this topic ID
	look    map[int64]string // numbers to look at, with the checksum if it is known
}

// takeover builds the state anew (rule 7): from the bookmarks, from what
// visibility lists, and from the entries themselves, which alone are believed.
func (p *Planner) takeover(ctx context.Context) (*state, error) {
	looked := p.now()
	l, err := p.kafka.Logs(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at topic %s: %w", p.cfg.Topic, err)
	}
	commits, err := p.kafka.Fetch(ctx) // between two looks at the topic's ID: offsets of which topic?
	if err != nil {
		return nil, fmt.Errorf("fetch offsets of %s: %w", p.cfg.Topic, err)
	}
	again, err := p.kafka.Logs(ctx)
	if err != nil || again.TopicID != l.TopicID {
		return nil, errors.Join(errRecreated, err)
	}
	st := &state{
		topicID: l.TopicID, next: map[int32]batch.Position{}, back: map[int32]int64{}, open: map[int64]*open{}, last: -2,
		mine: map[string]bool{}, dirty: true,
	}
	f := p.bookmarks(st, commits)
	p.decided(st)
	if err := p.list(ctx, st, &f); err != nil {
		return nil, err
	}
	gone, err := p.readListed(ctx, st, f)
	if err != nil {
		return nil, err
	}
	if err := p.walk(ctx, st); err != nil {
		return nil, err
	}
	gone = gone || st.gap && !p.off.noChain
	p.position(st, l, f, gone)
	if err := p.reopened(st, l, f, looked); err != nil {
		return nil, err
	}
	p.known = st.topicID
	p.log.Info("plan log taken over", "topic", p.cfg.Topic, "number", st.n, "open", len(st.open), "back", st.back, "vanished", gone)
	return st, nil
}

// bookmarks reads the committed offsets. One that is not the low watermark
// written with it was moved by an operator: plan from there.
func (p *Planner) bookmarks(st *state, commits map[int32]Commit) found {
	f := found{commits: len(commits), from: -1, low: map[int32]int64{}, look: map[int64]string{}}
	for part, c := range commits {
		m, ok := readBookmark(c)
		if !ok || m.Low != c.Offset && !p.off.noLow {
			if !p.off.noMoved {
				st.back[part] = c.Offset
			}
			continue
		}
		if m.TopicID != st.topicID.String() && !p.off.noTopicID {
			f.other = true
			continue
		}
		f.low[part] = c.Offset
		f.from = max(f.from, m.Number)
		for _, s := range m.Open {
			if n, sum, ok := opened(s); ok {
				if old, known := f.look[n]; known && old != sum {
					sum = "bookmarks differ"
				}
				f.look[n] = sum
			}
		}
	}
	st.n = max(f.from, 0)
	return f
}

// list adds what runs or is newer than visibility may know, and always the
// newest that is known.
func (p *Planner) list(ctx context.Context, st *state, f *found) error {
	listed, err := p.tempo.List(ctx, batch.Prefix(p.cfg.Group, p.cfg.Topic, st.topicID))
	if err != nil {
		return fmt.Errorf("list batches of %s: %w", p.cfg.Topic, err)
	}
	if p.off.noVisibility {
		listed = nil
	}
	look := func(n int64) {
		if _, ok := f.look[n]; !ok {
			f.look[n] = ""
		}
	}
	for n, s := range listed {
		if s != Completed {
			look(n)
		}
		st.n = max(st.n, n+1)
	}
	for n := max(f.from, 0, st.n-p.recent); n < st.n && !p.off.noGap; n++ {
		look(n)
	}
	if st.n > 0 && !p.off.noAnchor {
		look(st.n - 1)
	}
	if f.from > 0 && !p.off.noChain { // does the log go on where the bookmark's entries end?
		look(f.from - 1)
	}
	if f.from < 0 && p.off.noZero {
		f.from = slices.Min(append(slices.Collect(maps.Keys(f.look)), st.n))
	}
	return nil
}

// readListed reads the entries that are to be looked at, and those between the
// bookmark and the newest, in order; it tells whether one is missing, or not the
// one that the bookmark knew. Then all goes back to the bookmark anyway, and the
// rest of those between is not asked for: without a bookmark it may be millions,
// long forgotten. A planner may have gone on from an entry that vanished, and
// its number won again by another: that shows as a gap.
func (p *Planner) readListed(ctx context.Context, st *state, f found) (gone bool, err error) {
	between := max(f.from, 0)
	for _, n := range slices.Sorted(maps.Keys(f.look)) {
		for ; between < n && !gone && !p.off.noGap; between++ {
			if gone, err = p.read(ctx, st, between, ""); err != nil {
				return false, err
			}
		}
		missing, err := p.read(ctx, st, n, f.look[n])
		if err != nil {
			return false, err
		}
		gone, between = gone || missing, max(between, n+1)
	}
	return gone, nil
}

// read reads one entry, and tells whether it is not there, or another one.
func (p *Planner) read(ctx context.Context, st *state, n int64, sum string) (gone bool, err error) {
	id := batch.ID(p.cfg.Group, p.cfg.Topic, st.topicID, n)
	b, s, err := p.tempo.Get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return !p.off.noVanished, nil
	}
	if err != nil {
		return false, fmt.Errorf("read batch %s: %w", id, err)
	}
	if s == Failed || s == Running && !p.off.noWalked {
		st.open[n] = &open{Batch: b}
	}
	st.follow(b)
	return sum != "" && sum != b.Checksum() && !p.off.noChecksum, nil
}

// position decides where each partition goes on, if not where the newest entry
// says.
func (p *Planner) position(st *state, l Logs, f found, gone bool) {
	if gone {
		p.wait(st)
	}
	st.opening = st.n == 0
	for _, part := range st.partitions(l, f.low) {
		log, listed := l.Partitions[part]
		if !listed && p.off.noUnlisted {
			continue
		}
		back, moved := st.back[part]
		switch {
		case moved: // what was planned behind it does not count any more, truncated or not
			at := st.next[part]
			at.Partition, at.Offset, at.Epoch = part, back, -1
			st.next[part] = at
		case gone && (len(f.low) > 0 || !p.cfg.Latest): // 0 if it has no bookmark: it was new
			st.back[part] = f.low[part]
			if next, ok := st.next[part]; ok && next.Offset < f.low[part] && !p.off.noLowest { // an entry went back below it
				st.back[part] = next.Offset
			}
		case st.opening && p.cfg.Latest && f.commits == 0:
			st.back[part] = log.End
		case st.opening:
			st.back[part] = log.First
		}
	}
}

// reopened doubts a topic that was created again and begins above 0: a leader that
// is behind answers from the old log of that name, and what is below would never
// be read. It must look so again after the quiet time, and not lower.
func (p *Planner) reopened(st *state, l Logs, f found, looked time.Time) error {
	again := f.other || p.known != batch.TopicID{} && p.known != l.TopicID
	above, agrees := false, p.sight.TopicID == l.TopicID
	for part, log := range l.Partitions {
		above = above || log.First > 0 && log.First == st.back[part]
		old, ok := p.sight.Partitions[part]
		agrees = agrees && ok && log.First >= old.First
	}
	if !st.opening || !again || !above || p.off.noSecondLook {
		return nil
	}
	if !agrees {
		p.sight, p.sighted = l, p.now()
	}
	if looked.Sub(p.sighted) >= p.cfg.Quiet {
		return nil
	}
	p.stopped, p.until = fmt.Errorf("%s was created again and begins above 0: waiting whether that lasts", p.cfg.Topic), p.now().Add(stoppedFor)
	return p.stopped
}
