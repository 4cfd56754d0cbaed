package planlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ai-backlog/ingest/batch"
)

// The world of the model test: a broker, a Temporal, workers and a ClickHouse
// that fail in every way that the design allows for. Its clock counts seconds.
const (
	session   = 20  // group session timeout
	retention = 400 // Temporal's
	maxFlight = 60  // no request lives longer in the network
	visLag    = 5   // of visibility
	visPage   = 3   // closed workflows that visibility lists
	recently  = 3   // numbers that are looked at whatever it lists
	heartbeat = 10  // an activity goes on so long after its workflow is gone
	insertFor = 20  // and an insert so long after its activity
	quietTime = heartbeat + insertFor + 1
	lookFor   = 40 // a look is valid so long
	tokenFor  = 90 // the server remembers a token at least so long
	leaderLag = 20 // a leader answers from the log of a topic that was deleted
	blockRecs = 4
	window    = 4
)

var (
	errNet     = errors.New("no answer")
	errRefused = errors.New("refused")
)

// key is a record's coordinates.
type key struct {
	topic batch.TopicID
	part  int32
	off   int64
}

// opts are faults and semantics of the world.
type opts struct {
	off     rules
	noLease bool
	// What the workers or their server do not do.
	noLook, noToken, noOffsetsInToken, noNonce, noLookExpiry, noTopicInRows, noQuietTurns bool
	noEpoch, noCut, noMark                                                                bool
	// What cannot happen.
	noReset, noTopic, noWipe, noDelete, noPurge, noOrphan, noTrim, noFailover bool
	// Faults beyond the design, and an operator's tool that keeps the metadata.
	visEmpty, unmarkedLoss, keepMetadata bool
	latest                               bool
	wide                                 bool // the window has room for two replays at once
	// A process that gets the topic back is not told that it was another's.
	silentRegain bool
	// Commits have the generation of the moment, not of the planner's beginning.
	lateStamp bool
	// A leader that does not answer for an epoch is taken for one that cannot know.
	leaveOut bool
	// Answers to everything at once: named cases.
	still bool
}

type run struct {
	e        batch.Batch
	status   Status
	at, done int64
	outcome  batch.Outcome

	completed bool  // once, whatever an operator did then
	born      int64 // when the first run began: visibility keeps the records of earlier runs

	turn    int
	wake    int64 // nothing before: the quiet time of a turn or of a later run
	looked  bool
	lookAt  int64
	unclean bool
	att     *attempt

	phase int // of an entry that makes way
	cut   int // rows that are older are moved aside
}

// attempt is one execution of the insert activity.
type attempt struct {
	id       string
	e        batch.Batch
	turn     int
	lookAt   int64
	blocks   [][]key
	i        int
	deadline int64       // 0: its workflow runs
	read     map[key]int // which record it read at an offset
}

// flight is an insert that nobody waits for any more.
type flight struct {
	a        *attempt
	block    []key
	deadline int64
}

// request is a replay that was asked for.
type request struct {
	Replay
	topic  batch.TopicID
	told   map[int64]batch.Ranges
	nonces map[int64]string
}

type call struct {
	name  string
	at    int64
	apply func() (any, error)
	reply chan func() (any, error)
}

type proc struct {
	w       *world
	id      int
	gen     int // generation of the assignment as the process knows it; -1: none
	stamp   int // generation under which the planner began
	lastHB  int64
	req     chan *call
	pending *call
	dead    bool
	stop    bool // revoked: the state is dropped at the next sleep
	cache   map[string]Status
	pl      *Planner
	ticks   int
	err     error   // of the last tick
	saw     []int32 // truncated partitions of the last look
}

type world struct {
	opt      opts
	now      int64
	topics   int
	topic    batch.TopicID
	logs     map[int32]Log
	created  int           // partitions that the topic began with
	behind   map[int32]Log // what some leaders answer from the log of a topic that was deleted
	until    int64         // so long
	epochEnd map[int32]map[int32]int64
	torn     map[int32]int64 // truncated below what was planned, to where, and no operator has decided yet
	commits  map[int32]Commit
	gen      int
	fence    int  // commits of older generations are refused: the group was empty since
	memory   bool // the server never forgets a token
	owner    int  // -1: the group is empty
	procs    []*proc
	runs     map[string]*run
	orphans  []*attempt
	flights  []flight
	requests []*request
	resumes  []*resumption
	rerun    map[string]bool // completed and then reset by an operator
	tokens   map[string]int64
	stored   map[key]int
	lost     map[key]bool // recorded
	excused  map[key]bool // below a starting position, or an operator's
	erased   map[key]bool // by hand, and not stored since
	record   map[key]int  // how often an election took what was at the offset before
	holds    map[key]int  // which of these records the row is of
	at       map[key]int  // when it was stored, in rows
	rows     int
	before   map[key]bool // a record that was here is lost
	kept     map[row]int  // rows that were moved aside
	made     map[batch.TopicID]bool
	strict   map[int32]bool        // partitions in which going back excuses nothing
	byHand   map[int32]bool        // partitions in which somebody went on without making way: what is moved aside later may be there again
	took     map[int32]batch.Range // what the election took that nobody has decided about yet
	asks     bool                  // operators ask for a resume, in the end
	late     []func()
	trace    []string
	count    map[string]int
	wiped    int64
	deleted  map[string]int64 // by an operator, when
	visEmpty bool
	away     bool // Temporal does not answer
	rng      *rand.Rand
	nonces   int
}

type failure string

func topicID(i int) batch.TopicID { return batch.TopicID{byte(i + 1)} }

func newWorld(seed uint64, opt opts) *world {
	return &world{
		opt: opt, now: 1000, topic: topicID(0), topics: 1, created: 2, owner: -1, wiped: -1, rng: rand.New(rand.NewPCG(seed, 1)),
		logs: map[int32]Log{0: {}, 1: {}}, epochEnd: map[int32]map[int32]int64{}, torn: map[int32]int64{}, commits: map[int32]Commit{}, runs: map[string]*run{},
		memory: seed%2 == 0, record: map[key]int{}, holds: map[key]int{}, at: map[key]int{}, before: map[key]bool{}, kept: map[row]int{}, made: map[batch.TopicID]bool{}, byHand: map[int32]bool{}, strict: map[int32]bool{}, took: map[int32]batch.Range{},
		tokens: map[string]int64{}, stored: map[key]int{}, lost: map[key]bool{}, excused: map[key]bool{}, erased: map[key]bool{}, count: map[string]int{}, rerun: map[string]bool{}, deleted: map[string]int64{},
	}
}

func (w *world) logf(f string, a ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%d ", w.now)+fmt.Sprintf(f, a...))
}

func (w *world) fail(f string, a ...any) {
	for i, l := range w.trace { // a livelock repeats itself
		if strings.HasSuffix(l, " calm") {
			w.trace = w.trace[:min(len(w.trace), i+60)]
			break
		}
	}
	n := max(0, len(w.trace)-150)
	panic(failure(fmt.Sprintf(f, a...) + "\n" + strings.Join(w.trace[n:], "\n")))
}

// Kafka and Temporal as a process sees them: each call waits until the world
// answers it, or does not.

func ask[T any](p *proc, name string, apply func() (T, error)) (T, error) {
	c := &call{name: name, at: p.w.now, apply: func() (any, error) { return apply() }, reply: make(chan func() (any, error))}
	p.req <- c
	r, ok := <-c.reply
	if !ok {
		runtime.Goexit()
	}
	v, err := r()
	t, _ := v.(T)
	return t, err
}

func (p *proc) Logs(context.Context) (Logs, error) {
	w := p.w
	return ask(p, "logs", func() (Logs, error) {
		l := Logs{w.topic, maps.Clone(w.logs)}
		if len(w.logs) > w.created && !w.opt.still && w.rng.IntN(8) == 0 { // a broker that is behind does not know what was added
			delete(l.Partitions, int32(len(w.logs)-1))
		}
		for part, log := range w.behind {
			if _, ok := l.Partitions[part]; ok && w.now < w.until {
				l.Partitions[part] = log
			}
		}
		p.saw = nil
		for part := range w.torn {
			if _, ok := l.Partitions[part]; ok {
				p.saw = append(p.saw, part)
			}
		}
		return l, nil
	})
}

func (p *proc) EpochEnds(_ context.Context, at []batch.Position) (map[int32]int64, error) {
	return ask(p, "epochs", func() (map[int32]int64, error) {
		m := map[int32]int64{}
		if !p.w.opt.still && p.w.rng.IntN(3) == 0 {
			if p.w.opt.leaveOut {
				return m, nil
			}
			return nil, errRefused
		}
		for _, pos := range at {
			if end, ok := p.w.epochEnd[pos.Partition][pos.Epoch]; ok {
				m[pos.Partition] = end
			}
		}
		return m, nil
	})
}

func (p *proc) Fetch(context.Context) (map[int32]Commit, error) {
	return ask(p, "fetch", func() (map[int32]Commit, error) { return maps.Clone(p.w.commits), nil })
}

func (p *proc) Commit(_ context.Context, id batch.TopicID, c map[int32]Commit) error {
	w, gen := p.w, p.stamp
	if w.opt.lateStamp {
		gen = max(gen, p.gen)
	}
	_, err := ask(p, "commit", func() (any, error) {
		if gen < w.fence {
			return nil, errRefused
		}
		if id != w.topic && w.rng.IntN(2) == 0 {
			return nil, errRefused
		}
		bad := int32(-1)
		if !w.opt.still && w.rng.IntN(10) == 0 { // one partition of the request fails
			bad = int32(w.rng.IntN(len(w.logs)))
		}
		var err error
		for _, part := range slices.Sorted(maps.Keys(c)) {
			if part == bad {
				err = errNet
				continue
			}
			if len(c[part].Metadata) > 1000 {
				w.fail("META of %d characters", len(c[part].Metadata))
			}
			w.commits[part] = c[part]
			w.logf("p%d commit %d = %d %s", p.id, part, c[part].Offset, c[part].Metadata)
			w.checkLow(part, c[part])
		}
		return nil, err
	})
	return err
}

func (p *proc) alive() bool {
	return p.w.opt.noLease || p.gen >= 0 && p.gen == p.stamp && p.w.now-p.lastHB < session
}

func (p *proc) Start(_ context.Context, b batch.Batch, again bool) error {
	w, blind := p.w, slices.ContainsFunc(p.saw, p.knows)
	_, err := ask(p, "start "+b.ID(), func() (any, error) {
		r := w.runs[b.ID()]
		if r != nil && (!again || r.status != Failed) {
			return nil, ErrExists
		}
		if blind && len(w.torn) > 0 && b.TopicID == w.topic && len(b.Truncated) == 0 && !again {
			w.fail("TRUNCATED and planned on: %v: %v", w.torn, b)
		}
		w.decide(b)
		w.logf("p%d starts %d %v lost %v opened %v next %v replay %v again %v", p.id, b.Number, b.Ranges, b.Lost, b.Opened, b.Next, b.Replay, again)
		w.start(b)
		if r != nil {
			w.runs[b.ID()].born, w.runs[b.ID()].completed = r.born, r.completed
		}
		return nil, nil
	})
	return err
}

func (p *proc) Get(_ context.Context, id string) (batch.Batch, Status, error) {
	var s Status
	b, err := ask(p, "get "+id, func() (batch.Batch, error) {
		r := p.w.runs[id]
		if r == nil {
			return batch.Batch{}, ErrNotFound
		}
		s = r.status
		return r.e, nil
	})
	return b, s, err
}

func (p *proc) Poll(_ context.Context, id string) (Status, batch.Outcome, error) {
	w := p.w
	var o batch.Outcome
	s, err := ask(p, "poll "+id, func() (Status, error) {
		if s, ok := p.cache[id]; ok && !w.opt.still && w.rng.IntN(4) == 0 {
			return s, nil // a watcher is behind
		}
		r := w.runs[id]
		if r == nil {
			delete(p.cache, id)
			return 0, ErrNotFound
		}
		p.cache[id] = r.status
		o = r.outcome
		return r.status, nil
	})
	return s, o, err
}

func (p *proc) List(_ context.Context, prefix string) (map[int64]Status, error) {
	w := p.w
	return ask(p, "list", func() (map[int64]Status, error) {
		m := map[int64]Status{}
		var closed []int64
		for id, r := range w.runs {
			num, ok := strings.CutPrefix(id, prefix)
			if !ok || w.now-r.born < visLag || w.visEmpty {
				continue
			}
			n, _ := strconv.ParseInt(num, 10, 64)
			started, ended := w.now-r.at >= visLag, w.now-r.done >= visLag
			switch {
			case started && (r.status == Running || !ended):
				m[n] = Running
			case r.status == Failed || !started && !r.completed: // this run, or the one before
				m[n] = Failed
			default:
				closed = append(closed, n)
			}
		}
		slices.Sort(closed)
		for _, n := range closed[max(0, len(closed)-visPage):] {
			m[n] = Completed
		}
		return m, nil
	})
}

func (p *proc) Replays(_ context.Context, prefix string) ([]Replay, error) {
	w := p.w
	return ask(p, "replays", func() (rs []Replay, err error) {
		for _, r := range w.requests {
			if rest := w.rest(r); batch.Prefix("g", "t", r.topic) == prefix && len(rest) > 0 {
				rs = append(rs, Replay{r.ID, rest, r.NotBefore})
			}
		}
		return rs, nil
	})
}

func (p *proc) Answer(_ context.Context, id string, n int64, planned batch.Ranges) error {
	w := p.w
	_, err := ask(p, "answer", func() (any, error) {
		w.toldResume(id, n)
		for _, r := range w.requests {
			if run := w.runs[batch.ID("g", "t", r.topic, n)]; r.ID == id && run != nil && len(planned.Sub(run.e.Ranges)) == 0 {
				w.logf("request %s: entry %d for %v", id, n, planned)
				r.told[n], r.nonces[n] = planned, run.e.Nonce
			}
		}
		return nil, nil
	})
	return err
}

// rest is what a request still asks for: an entry that vanished does not count.
func (w *world) rest(r *request) batch.Ranges {
	rest := r.Ranges
	for n, rs := range r.told {
		if run := w.runs[batch.ID("g", "t", r.topic, n)]; r.nonces[n] == "done" || run != nil && run.e.Nonce == r.nonces[n] {
			if run != nil && run.completed {
				r.nonces[n] = "done"
			}
			rest = rest.Sub(rs)
		}
	}
	return rest
}

func (w *world) nonce() string {
	if w.opt.noNonce {
		return "x"
	}
	w.nonces++
	return strconv.Itoa(w.nonces)
}

func (w *world) config() Config {
	size := window
	if w.opt.wide {
		size *= 2
	}
	return Config{
		Group: "g", Topic: "t", Window: size, Records: 10, Bytes: 1 << 20, Linger: 2 * time.Second, Quiet: quietTime * time.Second,
		Retention: retention * time.Second, Latest: w.opt.latest, Limits: batch.Limits{BlockRecords: blockRecs, BlockBytes: 1 << 20},
	}
}

func (w *world) spawn() *proc {
	p := &proc{w: w, id: len(w.procs), gen: -1, req: make(chan *call), cache: map[string]Status{}}
	w.procs = append(w.procs, p)
	sleep := func() { _, _ = ask(p, "sleep", func() (any, error) { return nil, nil }) }
	go func() {
		defer close(p.req)
		for {
			for p.gen < 0 {
				sleep()
			}
			p.stamp = p.gen
			clock := func() time.Time { return time.Unix(w.now, 0) }
			p.pl = New(w.config(), p, p, p.alive, clock, w.nonce, slog.New(traceHandler{p}), Observer{})
			p.pl.off, p.pl.recent = w.opt.off, recently
			for p.gen >= 0 {
				p.err = p.pl.Tick(context.Background())
				p.ticks++
				if p.err != nil && !errors.Is(p.err, errNet) {
					w.logf("p%d: %v", p.id, p.err)
				}
				sleep()
				if p.stop {
					p.stop = false
					break
				}
				p.stamp = max(p.gen, 0) // a kept topic goes on under the new generation
			}
		}
	}()
	p.next()
	return p
}

// traceHandler puts the planner's log lines into the trace.
type traceHandler struct{ p *proc }

func (h traceHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (h traceHandler) WithAttrs([]slog.Attr) slog.Handler           { return h }
func (h traceHandler) WithGroup(string) slog.Handler                { return h }
func (h traceHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(&b, " %s=%v", a.Key, a.Value.Any()); return true })
	h.p.w.logf("p%d %s%s", h.p.id, r.Message, b.String())
	return nil
}

func (p *proc) next() {
	c, ok := <-p.req
	if !ok {
		p.dead, p.pending = true, nil
		return
	}
	p.pending = c
}

// How a call goes: it is answered, applied without an answer, never applied, or
// applied later without an answer.
const (
	answered = iota
	unanswered
	dropped
	delayed
)

func (p *proc) step(how int) {
	w, c := p.w, p.pending
	if p.dead {
		return
	}
	if w.owner == p.id && p.gen == w.gen {
		p.lastHB = w.now
	}
	toTemporal := !slices.Contains([]string{"logs", "epochs", "fetch", "commit", "sleep"}, c.name)
	switch {
	case c.name == "sleep":
		how = answered
	case w.now-c.at > maxFlight || w.cut(c) || w.away && toTemporal:
		how = dropped
	}
	var v any
	err := errNet
	switch how {
	case answered:
		v, err = c.apply()
	case unanswered:
		_, _ = c.apply()
	case delayed:
		w.queue(p, c)
	}
	c.reply <- func() (any, error) { return v, err }
	p.next()
}

// queue keeps a call that arrives after nobody waits for it any more.
func (w *world) queue(p *proc, c *call) {
	w.late = append(w.late, func() {
		if w.now-c.at <= maxFlight && !w.cut(c) {
			w.logf("late %s of p%d", c.name, p.id)
			_, _ = c.apply()
		}
	})
}

// cut: no request survives the restart of the server it was sent to. Nor, for a
// limit that is stated in the package's comment, what would start again what an
// operator has deleted meanwhile.
func (w *world) cut(c *call) bool {
	id, start := strings.CutPrefix(c.name, "start ")
	return start && (c.at <= w.wiped || c.at <= w.deleted[id])
}

func (w *world) crash(p *proc, how int) {
	if p.dead {
		return
	}
	w.logf("p%d crashes at %s how %d", p.id, p.pending.name, how)
	c := p.pending
	close(c.reply)
	p.next()
	p.dead = true
	if w.cut(c) {
		return
	}
	switch how {
	case unanswered:
		_, _ = c.apply()
	case delayed:
		w.queue(p, c)
	}
}

// assign gives the topic to a process; the old owner is told or has expired.
func (w *world) assign(to int, clean bool) {
	if w.owner >= 0 && w.owner != to {
		old := w.procs[w.owner]
		if clean && !old.dead {
			old.gen, old.stop = -1, true
		} else {
			w.now = max(w.now, old.lastHB+session+1)
		}
	}
	w.gen++
	again := to >= 0 && w.owner != to && w.procs[to].gen >= 0 // it hears of its loss only now
	w.owner = to
	w.logf("group: owner p%d gen %d clean %v", to, w.gen, clean)
	if to >= 0 {
		p := w.procs[to]
		p.stop = p.stop || again && !w.opt.silentRegain
		p.gen, p.lastHB = w.gen, w.now
	}
}

func (w *world) close() {
	for _, p := range w.procs {
		if !p.dead && p.pending != nil {
			close(p.pending.reply)
			for range p.req {
			}
			p.dead = true
		}
	}
}

func (w *world) live() (l []*proc) {
	for _, p := range w.procs {
		if !p.dead {
			l = append(l, p)
		}
	}
	return l
}

// missing is whether the record that is at an offset now is nowhere, though it should be.
func (w *world) missing(k key) bool {
	return (w.stored[k] == 0 || w.holds[k] != w.record[k]) && !w.lost[k] && !w.excused[k]
}

// checkLow: the low watermark is never above an unstored offset.
func (w *world) checkLow(part int32, c Commit) {
	m, ok := readBookmark(c)
	if !ok || m.TopicID != w.topic.String() {
		return
	}
	for o := range c.Offset {
		if k := (key{w.topic, part, o}); w.missing(k) && !w.erased[k] && !w.before[k] {
			w.fail("LOW committed %d of partition %d above unstored %d", c.Offset, part, o)
		}
	}
}

// marked says whether the bookmark knows an entry.
func (w *world) marked(id string) bool {
	if w.opt.unmarkedLoss {
		return true
	}
	e := w.runs[id].e
	for _, c := range w.commits {
		if m, ok := readBookmark(c); ok && m.TopicID == e.TopicID.String() && m.Number > e.Number {
			return true
		}
	}
	return false
}

// ids is the workflows that a condition holds for, in order.
func (w *world) ids(f func(*run) bool) (l []string) {
	for _, id := range slices.Sorted(maps.Keys(w.runs)) {
		if f(w.runs[id]) {
			l = append(l, id)
		}
	}
	return l
}

func running(r *run) bool { return r.status == Running }

// caughtUp: everything is planned and done, and the commits say so.
func (w *world) caughtUp() bool {
	if len(w.torn) > 0 {
		return false
	}
	for part, l := range w.logs {
		c, has := w.commits[part]
		m, ok := readBookmark(c)
		if l.End > 0 && (!has || !ok || c.Offset != l.End || m.TopicID != w.topic.String()) {
			return false
		}
	}
	for _, r := range w.requests {
		for n := range r.told {
			if r.topic != w.topic {
				break
			}
			if run := w.runs[batch.ID("g", "t", r.topic, n)]; run != nil && run.e.Nonce == r.nonces[n] && !run.completed {
				return false
			}
		}
		if r.topic == w.topic && len(w.rest(r)) > 0 {
			return false
		}
	}
	return len(w.ids(func(r *run) bool { return r.status == Running && r.e.TopicID == w.topic })) == 0
}

// checkAll: nothing was skipped (that nothing is twice is checked at each insert).
func (w *world) checkAll() {
	for part, l := range w.logs {
		for off := range l.End {
			if k := (key{w.topic, part, off}); w.missing(k) {
				w.fail("LOSS offset %v skipped", k)
			}
		}
	}
}

// elect makes another leader, with the log up to an offset. It may lack what was
// planned, if that is to be known from the newest entry; what takes its offsets
// is not told from it by coordinates.
func (w *world) elect(part int32, end int64) {
	l := w.logs[part]
	if end < l.End {
		m, ok := readBookmark(w.commits[part])
		n, reached := w.newest(part)
		_, torn := w.torn[part]
		if !ok || m.Low != w.commits[part].Offset || m.TopicID != w.topic.String() || w.missesNewest(n) || reached.Epoch < 0 || reached.Offset <= end || torn {
			return
		}
		w.torn[part], w.took[part] = end, batch.Range{Partition: part, First: end, Last: l.End - 1}
		for off := end; off < l.End; off++ {
			w.take(key{w.topic, part, off})
		}
		for _, r := range w.requests {
			if r.topic == w.topic {
				r.Ranges = r.Ranges.Sub(batch.Ranges{{Partition: part, First: end, Last: l.End}})
			}
		}
	}
	if w.epochEnd[part] == nil {
		w.epochEnd[part] = map[int32]int64{}
	}
	w.epochEnd[part][l.Epoch] = end
	for e, at := range w.epochEnd[part] {
		w.epochEnd[part][e] = min(at, end)
	}
	l.Epoch, l.End = l.Epoch+1, end
	w.logs[part] = l
	w.logf("elected for %d: epoch %d ends %d, torn %v", part, l.Epoch, l.End, w.torn)
}

// newest is the topic's newest entry, and where it ends in a partition.
func (w *world) newest(part int32) (n int64, at batch.Position) {
	n, at.Epoch = -1, -1
	for _, r := range w.runs {
		if r.e.TopicID == w.topic && r.e.Number > n {
			n, at.Epoch = r.e.Number, -1
			if i := slices.IndexFunc(r.e.Next, func(p batch.Position) bool { return p.Partition == part }); i >= 0 {
				at = r.e.Next[i]
			}
		}
	}
	return n, at
}

// knows is whether a truncation shows in what the planner knows: not when it goes
// back below that, be it an operator's decision or an entry that was on its way.
func (p *proc) knows(part int32) bool {
	_, newest := p.w.newest(part)
	at := p.pl.st.reached(part)
	cut, torn := p.w.torn[part]
	return torn && at.Offset > cut && (at.Epoch >= 0 || newest.Epoch < 0)
}

// missesNewest is whether a bookmark knows of a newer entry: its epoch is lost with it.
func (w *world) missesNewest(n int64) bool {
	for _, c := range w.commits {
		if m, ok := readBookmark(c); ok && m.TopicID == w.topic.String() && n < m.Number-1 {
			return true
		}
	}
	return false
}

// settle lets everything work without a fault until it has caught up.
func (w *world) settle(o *proc) {
	for i := range 6000 {
		w.now++
		o.step(answered)
		if errors.Is(o.err, ErrTruncated) && o.gen >= 0 {
			w.settleTruncation(i)
			o.err = nil
		}
		if o.gen < 0 {
			w.assign(o.id, true)
		}
		for _, id := range w.ids(running) {
			w.work(w.runs[id], answered)
		}
		w.expire()
		for _, a := range w.orphans {
			w.insert(a, answered)
		}
		if w.caughtUp() {
			w.checkAll()
			return
		}
	}
	w.fail("STUCK never caught up: logs %v commits %v", w.logs, w.commits)
}
