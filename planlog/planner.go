package planlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ai-backlog/ingest/batch"
)

const (
	bookmarkEvery = time.Minute     // a stale bookmark may have been accepted after ours
	replaysEvery  = 5 * time.Second // a query to visibility, so not every round
	stoppedFor    = 5 * time.Second // a truncated topic is looked at again
	recent        = 500             // numbers that visibility may not list yet: more than are started in the seconds that it lags
)

var (
	errRecreated = errors.New("topic was deleted and created again")
	errDropped   = errors.New("plan log state dropped")
)

// Planner extends one topic's plan log. It is for one goroutine, but for State.
type Planner struct {
	cfg    Config
	kafka  Kafka
	tempo  Temporal
	lease  func() bool
	now    func() time.Time
	nonce  func() string
	log    *slog.Logger
	obs    Observer
	off    rules // for tests
	recent int64

	st      *state // nil: take over
	sizes   []batch.Outcome
	stopped error
	until   time.Time       // looked at again
	warned  time.Time       // of a bookmark that was not written
	doubts  map[int32]doubt // by partition
	known   batch.TopicID   // of the last state
	sight   Logs            // of a topic that was created again and begins above 0
	sighted time.Time

	mu   sync.Mutex
	snap Snapshot
}

// state is what a planner knows (rule 2). A takeover builds it anew.
type state struct {
	topicID batch.TopicID
	n       int64                    // of the next entry
	next    map[int32]batch.Position // as the newest entry says
	last    int64                    // the entry that says so, if n-1 was read
	gap     bool                     // a takeover read an entry that begins above the end of the one before
	back    map[int32]int64          // positions to plan from instead; no bookmark until an entry says so
	opening bool                     // nothing was known: back is where the topic begins for us
	open    map[int64]*open
	quiet   time.Time // nothing is started before
	seen    time.Time // when n was free
	marked  time.Time // when the bookmark was accepted
	dirty   bool      // the bookmark is to be written

	mine  map[string]bool // nonces proposed for n
	looks []look
	replays
}

// open is an entry that is not completed.
type open struct {
	batch.Batch
	failed time.Time // when it was first seen so
}

// New needs no network. lease tells whether this process may start workflows
// right now; it must not depend on bookmarks, because none is written while
// positions must be planned again. nonce is a fresh random string at each call.
func New(cfg Config, k Kafka, t Temporal, lease func() bool, now func() time.Time, nonce func() string, log *slog.Logger, obs Observer) *Planner {
	return &Planner{cfg: cfg, kafka: k, tempo: t, lease: lease, now: now, nonce: nonce, log: log, obs: obs, doubts: map[int32]doubt{}, recent: recent}
}

// Tick does one round. After an error tick again: all of them are transient
// but ErrTruncated, which waits for an operator.
func (p *Planner) Tick(ctx context.Context) error {
	l, err := p.round(ctx)
	p.snapshot(l)
	return err
}

func (p *Planner) round(ctx context.Context) (l Logs, err error) {
	if p.now().Before(p.until) {
		return l, p.stopped
	}
	if p.st != nil && p.now().Sub(p.st.seen) > p.cfg.Retention/4 && !p.off.noAge {
		p.drop("the log's end was not seen for long")
	}
	if p.st == nil {
		if p.st, err = p.takeover(ctx); err != nil {
			p.st = nil
			return l, err
		}
	}
	if l, err = p.kafka.Logs(ctx); err != nil {
		return l, fmt.Errorf("look at topic %s: %w", p.cfg.Topic, err)
	}
	if l.TopicID != p.st.topicID && !p.off.noTopicID {
		p.drop("topic was deleted and created again")
		return l, errRecreated
	}
	if err = p.truncated(ctx, l); err != nil {
		return l, p.resume(ctx, l, err)
	}
	if err = p.poll(ctx); p.st == nil {
		return l, err
	}
	if err := p.commit(ctx); err != nil && p.now().Sub(p.warned) >= bookmarkEvery { // lazily: the next round tries again
		p.warned = p.now()
		p.log.Warn("bookmark not written", "topic", p.cfg.Topic, "error", err)
	}
	if err != nil {
		return l, err
	}
	if ok, err := p.extend(ctx, l); !ok || err != nil {
		return l, err
	}
	return l, p.replay(ctx)
}

// drop forgets everything; the next round takes over.
func (p *Planner) drop(why string) {
	p.log.Info("plan log state dropped", "topic", p.cfg.Topic, "number", p.st.n, "reason", why)
	p.st = nil
}

// wait keeps quiet: what Temporal lost may still insert (rule 3).
func (p *Planner) wait(st *state) {
	if !p.off.noQuiet {
		st.quiet = p.now().Add(p.cfg.Quiet)
	}
}

// mayStart says whether an entry may be appended now.
func (p *Planner) mayStart() bool {
	return p.st != nil && len(p.st.open) < p.cfg.Window && (!p.st.standing() || p.off.noStand) && !p.now().Before(p.st.quiet) && p.lease()
}

// at is where a partition goes on. One that was never seen starts at 0. What was
// before a position that is taken back is of the epoch of the one it had, or older.
func (st *state) at(part int32) batch.Position {
	pos, ok := st.next[part]
	if !ok {
		pos = batch.Position{Partition: part, Epoch: -1}
	}
	if b, ok := st.back[part]; ok {
		if b > pos.Offset {
			pos.Epoch = -1
		}
		pos.Offset = b
	}
	return pos
}

// partitions is all that are known, in order: a broker that is behind does not
// list the newest.
func (st *state) partitions(l Logs, low map[int32]int64) []int32 {
	parts := slices.Collect(maps.Keys(l.Partitions))
	parts = slices.AppendSeq(parts, maps.Keys(st.next))
	parts = slices.AppendSeq(parts, maps.Keys(st.back))
	parts = slices.AppendSeq(parts, maps.Keys(low))
	slices.Sort(parts)
	return slices.Compact(parts)
}

// owned is the ranges of the open entries: nobody else may plan them now. One that
// an operator has reset owns nothing of what was truncated since.
func (st *state) owned(off rules) (rs batch.Ranges) {
	for _, o := range st.open {
		for _, r := range o.Ranges {
			if at := st.next[r.Partition]; o.Number < at.Aside && !off.noAside {
				r.Last = min(r.Last, at.End-1)
			}
			rs = append(rs, r)
		}
	}
	return rs.Sort()
}

// low is a partition's low watermark: everything below it is done.
func (st *state) low(part int32) int64 {
	low := st.at(part).Offset
	for _, o := range st.open {
		if first, ok := begin(o.Batch, part); ok && !o.Replay {
			low = min(low, first)
		}
	}
	return low
}

// begin is where what the entry settles starts in a partition, lost offsets included.
func begin(b batch.Batch, part int32) (first int64, ok bool) {
	for _, rs := range []batch.Ranges{b.Ranges, b.Lost} {
		for _, r := range rs {
			if r.Partition == part && (!ok || r.First < first) {
				first, ok = r.First, true
			}
		}
	}
	return first, ok
}

// State is the snapshot after the last round; it may be called from anywhere.
func (p *Planner) State() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snap
}

func (p *Planner) snapshot(l Logs) {
	s := Snapshot{Unplanned: map[int32]int64{}, Start: map[int32]int64{}, Next: map[int32]int64{}, Low: map[int32]int64{}, End: map[int32]int64{}}
	if st := p.st; st != nil && !p.now().Before(p.until) {
		s.Ready, s.TopicID, s.Number, s.Open, s.Quiet, s.Looked = true, st.topicID, st.n, len(st.open), p.now().Before(st.quiet), p.now()
		for part, log := range l.Partitions {
			s.Low[part], s.Next[part], s.Start[part], s.End[part] = st.low(part), st.at(part).Offset, log.First, log.End
			s.Unplanned[part] = max(0, s.End[part]-s.Next[part])
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Ready && len(l.Partitions) == 0 { // Kafka did not answer: the last numbers stand
		s.Looked, s.Unplanned, s.Start, s.Next, s.Low, s.End = p.snap.Looked, p.snap.Unplanned, p.snap.Start, p.snap.Next, p.snap.Low, p.snap.End
	}
	p.snap = s
}
