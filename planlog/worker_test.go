package planlog

import (
	"slices"
	"strconv"

	"github.com/ai-backlog/ingest/batch"
)

// The worker's half of the promise, as docs/design.md §4 has it: look, insert
// what is missing under tokens of workflow, nonce, turn and offsets, resend
// after an unknown outcome, and look again after a quiet time.

func (w *world) start(b batch.Batch) {
	r := &run{e: b, at: w.now, born: w.now, turn: b.Turn}
	old := w.runs[b.ID()]
	w.runs[b.ID()] = r
	if old != nil && old.e.Nonce == b.Nonce { // again: it has noted these
		return
	}
	for _, o := range b.Opened {
		for off := o.First; off <= o.Last; off++ {
			k := key{b.TopicID, o.Partition, off}
			if w.missing(k) && off >= w.logs[o.Partition].First && b.TopicID == w.topic && !w.opt.latest {
				w.fail("OPENED above %v, which is there", k)
			}
			w.excused[k] = true
		}
	}
	for _, l := range b.Lost {
		if b.TopicID == w.topic && l.Last >= w.logs[l.Partition].First {
			w.fail("LOST %v, but the log starts at %d", l, w.logs[l.Partition].First)
		}
	}
}

// has is a look's answer for one offset.
func (w *world) has(k key) bool {
	if w.opt.noTopicInRows {
		for i := range w.topics {
			if w.stored[key{topicID(i), k.part, k.off}] > 0 {
				return true
			}
		}
	}
	return w.stored[k] > 0
}

// absent is the look of a batch. What Kafka has no more is lost, and reported.
func (w *world) absent(b batch.Batch) (ks []key) {
	for _, r := range b.Ranges {
		for off := r.First; off <= r.Last; off++ {
			k := key{b.TopicID, r.Partition, off}
			switch {
			case w.has(k) && !w.opt.noLook:
			case b.TopicID != w.topic || off < w.logs[r.Partition].First:
				w.lost[k] = w.lost[k] || w.stored[k] == 0
			case w.replaced(b, k):
			default:
				ks = append(ks, k)
			}
		}
	}
	return ks
}

func newAttempt(r *run, ks []key) *attempt {
	a := &attempt{id: r.e.ID(), e: r.e, turn: r.turn, lookAt: r.lookAt}
	for b := range slices.Chunk(ks, blockRecs) {
		a.blocks = append(a.blocks, b)
	}
	return a
}

// work makes one step of a workflow.
func (w *world) work(r *run, how int) {
	switch {
	case r.status != Running || w.now < r.wake:
	case len(r.e.Truncated) > 0:
		w.workAside(r, how)
	case !r.looked:
		r.looked, r.lookAt, r.unclean = true, w.now, false
		r.att = newAttempt(r, w.absent(r.e))
	case !w.valid(r.att): // no block after the look has expired, or that Kafka has no more
		w.turn(r)
	case r.att.i < len(r.att.blocks):
		if r.unclean = w.insert(r.att, how) != answered || r.unclean; r.unclean {
			w.count["resent"]++
		}
	case r.unclean && len(w.absent(r.e)) > 0:
		w.turn(r)
	default:
		w.complete(r)
	}
}

func (w *world) turn(r *run) {
	w.count["turns"]++
	r.turn++
	r.looked = false
	if !w.opt.noQuietTurns {
		r.wake = w.now + quietTime
	}
}

func (w *world) complete(r *run) {
	r.status, r.done = Completed, w.now
	r.outcome = batch.Outcome{Offsets: r.e.Ranges.Len(), Stored: r.e.Ranges.Len(), Bytes: 100 * r.e.Ranges.Len()}
	for _, l := range r.e.Lost {
		for off := l.First; off <= l.Last; off++ {
			k := key{r.e.TopicID, l.Partition, off}
			w.lost[k] = true
		}
	}
	r.completed = true
	w.logf("%s completed", r.e.ID())
}

// valid: the rows of the next block can be read, and the look holds.
func (w *world) valid(a *attempt) bool {
	if a.i == len(a.blocks) {
		return true
	}
	gone := slices.ContainsFunc(a.blocks[a.i], func(k key) bool {
		_, read := a.read[k]
		return k.topic != w.topic || k.off < w.logs[k.part].First || !read && w.replaced(a.e, k)
	})
	return !gone && (w.now <= a.lookAt+lookFor || w.opt.noLookExpiry)
}

// insert sends the attempt's next block, and goes on if that was acknowledged.
func (w *world) insert(a *attempt, how int) int {
	if a.i == len(a.blocks) || !w.valid(a) {
		return answered
	}
	if a.read == nil {
		a.read = map[key]int{}
	}
	for _, k := range a.blocks[a.i] {
		if _, read := a.read[k]; !read {
			a.read[k] = w.record[k]
		}
	}
	switch how {
	case answered:
		w.store(a, a.blocks[a.i])
		a.i++
	case unanswered:
		w.store(a, a.blocks[a.i])
	case delayed:
		w.flights = append(w.flights, flight{a, a.blocks[a.i], w.now + insertFor})
	}
	return how
}

// store is ClickHouse: a repeated token is dropped silently.
func (w *world) store(a *attempt, block []key) {
	nonce, ks := a.e.Nonce, batch.Ranges{}
	for _, k := range block {
		ks = append(ks, batch.Range{Partition: k.part, First: k.off, Last: k.off})
	}
	if w.opt.noOffsetsInToken {
		ks = batch.Ranges{{First: int64(slices.IndexFunc(a.blocks, func(b []key) bool { return b[0] == block[0] }))}}
	}
	token := batch.Token(a.id, nonce, strconv.Itoa(a.turn), ks)
	if at, ok := w.tokens[token]; ok && (w.now-at <= tokenFor || w.memory) && !w.opt.noToken {
		return
	}
	w.tokens[token] = w.now
	for _, k := range block {
		w.stored[k]++
		w.rows++
		w.holds[k], w.at[k] = a.read[k], w.rows
		delete(w.erased, k)
		if x := (row{k, a.read[k]}); w.kept[x] > 0 && !w.byHand[k.part] {
			w.fail("DUP %v is kept aside, and stored by %s", x, a.id)
		}
		if w.stored[k] > 1 {
			w.fail("DUP offset %v stored twice, now by %s turn %s deadline %d", k, a.id, strconv.Itoa(a.turn), a.deadline)
		}
	}
}

// orphan lets the activity go on though its workflow does not.
func (w *world) orphan(r *run) {
	if r.phase == 1 {
		move := w.mover(r)
		w.late = append(w.late, func() { move(false) })
		w.logf("%s: a move goes on", r.e.ID())
	}
	if r.status != Running || r.att == nil || w.opt.noOrphan || !w.opt.still && w.rng.IntN(2) == 0 {
		return
	}
	a := *r.att
	a.deadline = w.now + heartbeat
	w.orphans = append(w.orphans, &a)
	w.logf("%s: activity goes on", a.id)
}

// expire ends what has outlived its deadline.
func (w *world) expire() {
	w.orphans = slices.DeleteFunc(w.orphans, func(a *attempt) bool { return w.now > a.deadline || a.i == len(a.blocks) })
	w.flights = slices.DeleteFunc(w.flights, func(f flight) bool { return w.now > f.deadline })
}

// What others do to workflows.

func (w *world) terminate(id string) {
	w.orphan(w.runs[id])
	w.runs[id].status, w.runs[id].done = Failed, w.now
	w.logf("%s terminated", id)
}

func (w *world) remove(id, why string) {
	w.orphan(w.runs[id])
	delete(w.runs, id)
	w.logf("%s %s", id, why)
}

// reset is an operator's: a new run of the same workflow. Resetting a completed
// batch whose rows were erased by hand is a replay beside the plan log, which
// nobody guards against another one at the same moment: docs say so.
func (w *world) reset(id string) {
	r := w.runs[id]
	for k := range w.erased {
		if r.status == Completed && k.topic == r.e.TopicID && r.e.Ranges.Contains(k.part, k.off) {
			return
		}
	}
	w.rerun[id] = w.rerun[id] || r.status == Completed
	w.orphan(r)
	w.start(r.e)
	w.runs[id].turn, w.runs[id].completed, w.runs[id].wake, w.runs[id].born = r.turn+1, r.completed, w.now+quietTime, r.born
	w.logf("%s reset", id)
}

// wipe loses Temporal's database.
func (w *world) wipe() {
	for _, id := range w.ids(running) {
		w.orphan(w.runs[id])
	}
	clear(w.runs)
	w.forget()
	w.wiped = w.now
	w.logf("temporal wiped")
}

// forget loses the replay requests: whoever erased rows must ask again.
func (w *world) forget() {
	for k := range w.erased {
		w.excused[k] = true
	}
	w.requests = nil
}

// erase deletes rows by hand, and asks for their replay after the quiet time.
func (w *world) erase(part int32, first, last int64) {
	for id := range w.rerun {
		if r := w.runs[id]; r != nil && r.e.TopicID == w.topic && r.status != Completed && r.e.Ranges.Overlaps(batch.Ranges{{Partition: part, First: first, Last: last}}) {
			return
		}
	}
	w.eraseRows(part, first, last)
	w.request(part, first, last, quietTime)
}

// eraseRows deletes rows of completed batches. One that is open may have stored
// its rows already, and would never look again: docs say so.
func (w *world) eraseRows(part int32, first, last int64) {
	w.logf("operator erases %d[%d,%d]", part, first, last)
	var open batch.Ranges
	for _, r := range w.runs {
		if r.status != Completed && r.e.TopicID == w.topic {
			open = append(open, r.e.Ranges...)
		}
	}
	open = open.Sort()
	for off := first; off <= last; off++ {
		if k := (key{w.topic, part, off}); w.stored[k] > 0 && !open.Contains(part, off) {
			delete(w.stored, k)
			w.erased[k] = true
		}
	}
}

func (w *world) request(part int32, first, last, after int64) {
	r := &request{topic: w.topic, told: map[int64]batch.Ranges{}, nonces: map[int64]string{}}
	r.Replay = Replay{ID: strconv.Itoa(len(w.trace)), Ranges: batch.Ranges{{Partition: part, First: first, Last: last}}, NotBefore: unix(w.now + after)}
	w.requests = append(w.requests, r)
	w.logf("request %s: replay %v", r.ID, r.Ranges)
}
