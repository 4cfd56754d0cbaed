package planlog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

// lab is a world without chance: a case says what happens and when.
type lab struct {
	*world
	t *testing.T
}

// history runs a case, lets the world settle, and returns what went wrong.
func history(t *testing.T, opt opts, f func(l lab)) (msg string) {
	t.Helper()
	opt.still = true
	w := newWorld(0, opt)
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
	f(lab{w, t})
	w.late, w.away = nil, false
	w.logf("calm")
	for _, p := range w.live() {
		if p.id != w.owner {
			w.crash(p, dropped)
		}
	}
	if len(w.live()) == 0 {
		w.assign(w.spawn().id, false)
	}
	w.settle(w.live()[0])
	return ""
}

// scenario is a history that must go well.
func scenario(t *testing.T, opt opts, f func(l lab)) {
	t.Helper()
	require.Empty(t, history(t, opt, f))
}

// produce adds n records to a partition.
func (l lab) produce(part int32, n int64) {
	log := l.logs[part]
	log.End += n
	l.logs[part] = log
}

// rounds lets a process do n rounds, a second each.
func (l lab) rounds(p *proc, n int) {
	for range n {
		for ticks := p.ticks; p.ticks == ticks; {
			p.step(answered)
		}
		l.now++
	}
}

// until stops a process before a call.
func (l lab) until(p *proc, call string) {
	for range 1000 {
		if strings.HasPrefix(p.pending.name, call) {
			return
		}
		if p.pending.name == "sleep" {
			l.now++
		}
		p.step(answered)
	}
	l.t.Fatalf("never called %s", call)
}

// finish lets every workflow run to its end, or those with the numbers given.
func (l lab) finish(numbers ...int64) {
	for _, id := range l.ids(running) {
		r := l.runs[id]
		for range 100 {
			if len(numbers) == 0 || containsNumber(numbers, r.e.Number) {
				l.work(r, answered)
			}
		}
	}
}

func containsNumber(ns []int64, n int64) bool {
	for _, m := range ns {
		if m == n {
			return true
		}
	}
	return false
}

// entry is the plan log's entry n of the topic as it is now.
func (l lab) entry(n int64) batch.Batch {
	r := l.runs[batch.ID("g", "t", l.topic, n)]
	require.NotNil(l.t, r, "entry %d", n)
	return r.e
}

func (l lab) id(n int64) string { return batch.ID("g", "t", l.topic, n) }

// entries is how many of the topic there are.
func (l lab) entries() int {
	return len(l.ids(func(r *run) bool { return r.e.TopicID == l.topic }))
}

// another process gets the topic; the old one is not told.
func (l lab) takeover() *proc {
	p := l.spawn()
	l.assign(p.id, false)
	return p
}

// zombie is a second process that plans, believing that it may.
func (l lab) zombie() *proc {
	p := l.spawn()
	p.gen, p.lastHB = l.gen, l.now
	return p
}

func rng(part int32, first, last int64) batch.Range {
	return batch.Range{Partition: part, First: first, Last: last}
}
