package planlog

import (
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func unix(s int64) time.Time { return time.Unix(s, 0) }

// simulate runs one random history and then lets the world settle. msg is empty
// if every acknowledged offset is stored once, or recorded as lost.
func simulate(seed uint64, opt opts, steps int) (msg string, w *world) {
	opt.latest = opt.latest || seed%4 == 3
	w = newWorld(seed, opt)
	w.asks = seed%3 != 0
	defer func() {
		if e := recover(); e != nil {
			f, ok := e.(failure)
			if !ok {
				panic(e)
			}
			msg = string(f)
		}
		w.close()
	}()
	w.spawn()
	w.assign(0, true)
	calm := w.rng.IntN(4)
	for range steps {
		w.now++
		w.expire()
		a := w.rng.IntN(110)
		if a >= 82 && w.rng.IntN(4) < calm {
			a = w.rng.IntN(82)
		}
		w.happen(a)
	}
	w.late, w.flights, w.visEmpty, w.away = nil, nil, false, false
	if len(w.live()) == 0 {
		w.spawn()
	}
	o := w.live()[0]
	for _, p := range w.live() {
		if p != o {
			w.crash(p, dropped)
		}
	}
	w.logf("calm")
	w.assign(o.id, false)
	w.settle(o)
	return "", w
}

// happen is one random event.
func (w *world) happen(a int) {
	d := w.rng.IntN
	pick := func(l []string) string { return l[d(len(l))] }
	part := int32(d(len(w.logs)))
	switch {
	case a < 45: // a burst of one process
		if l := w.live(); len(l) > 0 {
			p := l[d(len(l))]
			for range 1 + d(12) {
				p.step(answered)
				if d(3) == 0 {
					w.now++
				}
			}
		}
	case a < 52: // an answer is lost, the call, or it arrives later
		if l := w.live(); len(l) > 0 {
			l[d(len(l))].step(1 + d(3))
		}
	case a < 62:
		l := w.logs[part]
		l.End += int64(1 + d(6))
		w.logs[part] = l
	case a < 79:
		w.workSome()
	case a < 82: // an activity times out, its successor begins while it goes on
		if l := w.ids(func(r *run) bool { return r.status == Running && r.looked }); len(l) > 0 {
			r := w.runs[pick(l)]
			w.orphan(r)
			att := *r.att
			att.i, att.read = 0, nil
			r.att, r.unclean = &att, true
		}
	case a < 85: // a new process gets the topic; the old one is told, or turns into a zombie
		if len(w.live()) < 3 {
			w.spawn()
		}
		if l := w.live(); len(l) > 0 {
			w.assign(l[d(len(l))].id, d(3) == 0)
		}
	case a < 88:
		if l := w.live(); len(l) > 0 {
			w.crash(l[d(len(l))], 1+d(3))
		}
	case a < 90:
		for _, f := range w.late {
			f()
		}
		w.late = nil
	case a < 100:
		w.operate(a, part)
	default:
		w.suffer(a, part)
	}
}

// workSome lets one workflow, orphan or insert in flight make some steps.
func (w *world) workSome() {
	l := w.ids(running)
	n := len(l) + len(w.orphans) + len(w.flights)
	if n == 0 {
		return
	}
	i := w.rng.IntN(n)
	for range 1 + w.rng.IntN(8) {
		how := answered
		if w.rng.IntN(8) == 0 {
			how = 1 + w.rng.IntN(3)
		}
		switch {
		case i < len(l):
			w.work(w.runs[l[i]], how)
		case i < len(l)+len(w.orphans):
			if a := w.orphans[i-len(l)]; w.now <= a.deadline {
				w.insert(a, how)
			}
		default:
			f := w.flights[i-len(l)-len(w.orphans)]
			if w.now <= f.deadline {
				w.store(f.a, f.block)
			}
		}
	}
}

// operate is what operators do.
func (w *world) operate(a int, part int32) {
	d := w.rng.IntN
	aside := w.ids(func(r *run) bool { return len(r.e.Truncated) > 0 && !r.completed && r.e.TopicID == w.topic })
	switch {
	case len(aside) > 0 && a < 96 && d(2) == 0: // one that makes way is rare
		if a%2 == 0 {
			w.terminate(aside[0])
		} else if !w.opt.noDelete && len(w.torn) == 0 { // no bookmark is written before it has: so it may be deleted
			w.deleted[aside[0]] = w.now
			w.remove(aside[0], "deleted")
			w.unmade()
		}
	case a < 92:
		if l := w.ids(running); len(l) > 0 {
			w.terminate(l[d(len(l))])
		}
	case a < 93:
		if l := w.ids(func(*run) bool { return true }); len(l) > 0 {
			w.reset(l[d(len(l))])
		}
	case a < 94:
		l := w.ids(func(r *run) bool { return r.status != Completed && w.marked(r.e.ID()) })
		if len(l) > 0 && !w.opt.noDelete && len(w.torn) == 0 {
			id := l[d(len(l))]
			w.deleted[id] = w.now
			w.remove(id, "deleted")
		}
	case a < 96:
		if d(3) > 0 && w.askResume() {
			return
		}
		w.askReplay(part)
	case a < 98:
		if !w.opt.noReset && d(2) == 0 {
			w.resetOffsets()
		}
	case a < 99:
		if len(w.logs) < 4 {
			w.logs[int32(len(w.logs))] = Log{}
		}
	default:
		if w.opt.noTopic || d(3) > 0 {
			return
		}
		w.recreate(d(2) == 0)
	}
}

// recreate deletes the topic and creates it again. The broker drops its offsets,
// but a planner's late commit may bring them back; if so, leaders whose old log
// had a start may answer from that for a while.
func (w *world) recreate(keep bool) {
	maps.DeleteFunc(w.commits, func(_ int32, c Commit) bool {
		m, ok := readBookmark(c)
		return !ok || m.Low != c.Offset || !keep
	})
	w.topic, w.behind, w.until = topicID(w.topics), map[int32]Log{}, w.now+leaderLag
	w.topics, w.created = w.topics+1, len(w.logs)
	clear(w.torn)
	clear(w.took)
	clear(w.strict)
	clear(w.epochEnd)
	for part, log := range w.logs {
		if len(w.commits) > 0 && log.First > 0 {
			w.behind[part] = log
		}
		w.logs[part] = Log{}
	}
	w.logf("topic re-created as %s, behind %v", w.topic, w.behind)
}

// askReplay is a request, with or without rows erased by hand before. It may
// reach above the low watermark.
func (w *world) askReplay(part int32) {
	end := w.logs[part].End
	if end == 0 {
		return
	}
	first := w.rng.Int64N(end)
	last := min(end-1, first+w.rng.Int64N(8))
	if w.rng.IntN(2) == 0 {
		w.request(part, first, last, 0)
	} else if low := w.commits[part].Offset; first < low {
		w.erase(part, first, min(last, low-1))
	}
}

// resetOffsets moves or deletes the offsets of an empty group.
func (w *world) resetOffsets() {
	if w.owner >= 0 {
		w.assign(-1, false)
	}
	w.behind = nil // else nothing may tell that the topic is another one
	one, kind := w.rng.IntN(2) == 0, w.rng.IntN(4)
	if kind == 1 { // rows are erased by hand first, and then the quiet time
		w.now += quietTime + 1
	}
	for _, part := range slices.Sorted(maps.Keys(w.logs)) {
		if one && part != 0 {
			continue
		}
		l := w.logs[part]
		if kind == 0 {
			for o := range l.End { // also what was asked for by moving the offset before
				if k := (key{w.topic, part, o}); w.opt.latest || w.erased[k] {
					w.excused[k] = true
				}
			}
			delete(w.commits, part)
			w.logf("operator: offset of partition %d deleted", part)
			continue
		}
		to := l.First + w.rng.Int64N(l.End-l.First+1)
		if kind == 1 && to < l.End {
			w.eraseRows(part, to, l.End-1)
		}
		w.moveOffset(part, to)
	}
}

func (w *world) moveOffset(part int32, to int64) {
	w.fence = w.gen
	w.undecided(part)
	for o := range to {
		w.excused[key{w.topic, part, o}] = true
	}
	c := Commit{Offset: to}
	if w.opt.keepMetadata {
		c.Metadata = w.commits[part].Metadata
	}
	w.commits[part] = c
	w.logf("operator: partition %d to %d", part, to)
}

// suffer is what time and servers do.
func (w *world) suffer(a int, part int32) {
	d := w.rng.IntN
	switch {
	case a < 101:
		l := w.logs[part]
		if l.End > l.First && !w.opt.noTrim {
			l.First += 1 + w.rng.Int64N(l.End-l.First)
			w.logs[part] = l
			w.logf("log start of %d = %d", part, l.First)
		}
	case a < 103: // time passes, Temporal purges
		w.now += w.rng.Int64N(retention / 4)
		if !w.opt.noPurge && w.settled() {
			old := func(r *run) bool {
				return w.now-r.done > retention && (r.status == Completed || r.status == Failed && w.marked(r.e.ID()))
			}
			for _, id := range w.ids(old) {
				w.remove(id, "purged")
			}
		}
	case a < 104: // the database is lost
		bad := len(w.ids(func(r *run) bool { return r.status != Completed && !w.marked(r.e.ID()) })) > 0
		if !w.opt.noWipe && d(3) == 0 && !bad && w.settled() {
			w.wipe()
		}
	case a < 105: // a failover loses its last seconds
		if w.opt.noFailover || d(3) > 0 || !w.settled() {
			return
		}
		for _, id := range w.ids(func(r *run) bool { return w.now-r.at < 20 && w.marked(r.e.ID()) }) {
			w.remove(id, "lost by failover")
		}
		w.forget()
		w.wiped = w.now
	case a < 106:
		if w.visEmpty = w.opt.visEmpty && d(2) == 0; w.visEmpty {
			w.logf("visibility lists nothing")
		}
	case a < 107:
		w.away = !w.away && d(3) == 0
	case a < 108:
		l := w.logs[part]
		if d(3) == 0 {
			l.End -= w.rng.Int64N(l.End - l.First + 1)
		}
		w.elect(part, l.End)
	default:
		w.away = false
		if w.owner >= 0 && d(3) == 0 {
			w.assign(-1, d(2) == 0)
		}
	}
}

// hunt runs histories until one fails; the short ones come first in turn.
func hunt(opt opts, from uint64, n int, count map[string]int) (msg string, tried int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var next, best atomic.Int64
	best.Store(int64(n))
	for range min(4, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < best.Load(); i = next.Add(1) - 1 {
				m, w := simulate(from+uint64(i), opt, 40+int((from+uint64(i))%8)*60)
				mu.Lock()
				if m != "" && i < best.Load() {
					best.Store(i)
					msg = m
				}
				if count != nil {
					tally(count, w)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return msg, int(min(best.Load()+1, int64(n)))
}

// events that the histories must have had, to be worth something.
var events = []string{
	" starts ", "again true", "lost [0[", "lost [1[", "replay true", "crashes", "late ", "purged", "wiped", "operator", "re-created as", "taken over",
	"vanished=true", "terminated", " reset", "0 deleted", "failover", "goes on", "unknown to temporal", "state dropped", "opened [0[", "elected for", "truncated below",
	"asks to resume", "goes on where kafka lost", " aside", "a move goes on", "makes way after a truncation is unknown",
}

func tally(count map[string]int, w *world) {
	for _, l := range w.trace {
		for _, k := range events {
			if strings.Contains(l, k) {
				count[k]++
			}
		}
	}
	for k, n := range w.count {
		count[k] += n
	}
}

// histories is how many random histories a test runs: PLANLOG_HISTORIES.
func histories(t *testing.T, n int) int {
	t.Helper()
	if s := os.Getenv("PLANLOG_HISTORIES"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	if testing.Short() {
		n = min(n, 500)
	}
	return n
}

func seed(t *testing.T) uint64 {
	t.Helper()
	s := os.Getenv("PLANLOG_SEED")
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err)
	return n
}

// Every acknowledged offset is stored exactly once or recorded as lost, nothing
// is skipped, no low watermark is above an unstored offset, and the topic is
// caught up in the end: in thousands of random histories.
func TestModel(t *testing.T) {
	n := histories(t, 10000)
	count := map[string]int{}
	msg, tried := hunt(opts{}, seed(t), n, count)
	require.Empty(t, msg, "seed %d of %d", seed(t)+uint64(tried)-1, n)
	t.Logf("%d histories: %v", tried, count)
	for _, k := range events {
		if n >= 5000 {
			require.Positive(t, count[k], "no history had: %s", k)
		}
	}
}
