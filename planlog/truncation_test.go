package planlog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ai-backlog/ingest/batch"
)

// row is a record by what it is, not by where it is: an election may put another
// one at its offset.
type row struct {
	key
	record int
}

// resumption is a request to go on after a truncation.
type resumption struct {
	Resume
	n     int64
	nonce string // of the entry that answers it; "": none yet
	topic batch.TopicID
}

// take is what an unclean election does to an offset: what is written there next is
// another record.
func (w *world) take(k key) {
	w.record[k]++
	w.before[k] = true
	delete(w.lost, k)
	delete(w.excused, k)
	delete(w.erased, k)
}

// undecided excuses the records that are where others were lost, if somebody goes on
// without making way.
func (w *world) undecided(part int32) {
	delete(w.strict, part)
	if took, ok := w.took[part]; ok {
		w.byHand[part] = true
		for off := took.First; off <= took.Last; off++ {
			w.excused[key{w.topic, part, off}] = true
		}
	}
	delete(w.torn, part)
	delete(w.took, part)
}

// decide is what an entry means for truncations: one that makes way ends them. One
// that goes back below, without that, leaves nobody who can tell.
func (w *world) decide(b batch.Batch) {
	if b.TopicID != w.topic {
		return
	}
	for _, t := range b.Truncated {
		if cut, torn := w.torn[t.Partition]; torn && cut == t.End {
			delete(w.torn, t.Partition)
			delete(w.took, t.Partition)
			delete(w.strict, t.Partition)
		}
	}
	for _, pos := range b.Next {
		first, ok := begin(b, pos.Partition)
		if cut, torn := w.torn[pos.Partition]; torn && !b.Replay && !w.strict[pos.Partition] && (pos.Offset <= cut || ok && first <= cut) {
			w.undecided(pos.Partition)
		}
	}
}

// unmade is after the entry that makes way has vanished: the topic stands still again.
func (w *world) unmade() {
	for part := range w.logs {
		if _, at := w.newest(part); at.Epoch >= 0 {
			end, ok := w.epochEnd[part][at.Epoch]
			if !ok || end >= at.Offset {
				continue
			}
			w.strict[part] = true // a planner knew that way was to be made
			w.torn[part], w.took[part] = end, batch.Range{Partition: part, First: end, Last: at.Offset - 1}
			if m, ok := readBookmark(w.commits[part]); !ok || m.Low != w.commits[part].Offset { // an operator moved it meanwhile
				w.undecided(part)
			}
		}
	}
}

// settled is when no truncation has to be known from the newest entry: it was made
// way for, and a bookmark says so.
func (w *world) settled() bool {
	return len(w.torn) == 0 && len(w.ids(func(r *run) bool { return len(r.e.Truncated) > 0 && r.e.TopicID == w.topic && !w.marked(r.e.ID()) })) == 0
}

// epochOf is the leader epoch under which the record at an offset was written.
func (w *world) epochOf(part int32, off int64) int32 {
	for _, e := range slices.Sorted(maps.Keys(w.epochEnd[part])) {
		if off < w.epochEnd[part][e] {
			return e
		}
	}
	return w.logs[part].Epoch
}

// replaced is whether the entry meant another record than the one that is, or will
// be, at the offset.
func (w *world) replaced(b batch.Batch, k key) bool {
	i := slices.IndexFunc(b.Next, func(p batch.Position) bool { return p.Partition == k.part })
	if i < 0 || b.Next[i].Epoch < 0 || b.Next[i].Offset <= k.off || k.topic != w.topic || w.opt.noEpoch {
		return false
	}
	return w.epochOf(k.part, k.off) > b.Next[i].Epoch
}

// workAside makes one step of an entry that makes way: when it began, move what is
// older, see that nothing is left, and write down that it is done.
func (w *world) workAside(r *run, how int) {
	t := r.e.Truncated
	mark := func(t batch.Truncation) batch.TopicID { return batch.KeptID(r.e.TopicID, t) }
	switch r.phase {
	case 0:
		if r.cut = w.rows; !slices.ContainsFunc(t, func(t batch.Truncation) bool { return !w.made[mark(t)] }) && !w.opt.noMark {
			r.phase = 3
			return
		}
		r.phase = 1
	case 1:
		w.count["moves"]++
		if move := w.mover(r); how == answered || how == unanswered {
			move(how == answered)
		} else if how == delayed {
			w.late = append(w.late, func() { move(false) })
		}
		if how == answered {
			r.phase = 2
		}
	case 2:
		if len(w.inTheWay(r)) > 0 {
			r.phase = 0
			return
		}
		for _, t := range t {
			w.made[mark(t)] = true
		}
		r.phase = 3
	default:
		w.complete(r)
	}
}

// mover moves what is in the way, or some of it: parts of a table come one by one.
func (w *world) mover(r *run) func(all bool) {
	e, cut := r.e, r.cut
	return func(all bool) {
		for _, k := range w.inTheWay(r) {
			if w.at[k] > cut && !w.opt.noCut || !all && w.rng.IntN(2) == 0 {
				continue
			}
			delete(w.stored, k)
			x := row{k, w.holds[k]}
			if w.kept[x]++; w.kept[x] > 1 && !w.byHand[k.part] {
				w.fail("KEPT %v twice, by %s", x, e.ID())
			}
			w.logf("%s moves %v aside", e.ID(), x)
		}
	}
}

func (w *world) inTheWay(r *run) (ks []key) {
	for k, n := range w.stored {
		at := batch.Range{Partition: k.part, First: k.off, Last: k.off}
		if n > 0 && k.topic == r.e.TopicID && slices.ContainsFunc(r.e.Truncated, func(t batch.Truncation) bool { return t.Took(at) }) {
			ks = append(ks, k)
		}
	}
	slices.SortFunc(ks, func(a, b key) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return ks
}

// askResume is an operator's, of all that is truncated as it can be seen.
func (w *world) askResume() bool {
	var ts []batch.Truncation
	for _, part := range slices.Sorted(maps.Keys(w.logs)) {
		_, at := w.newest(part)
		if end, ok := w.epochEnd[part][at.Epoch]; ok && at.Epoch >= 0 && end < at.Offset {
			ts = append(ts, batch.Truncation{Partition: part, End: end, Planned: at.Offset, Epoch: at.Epoch, Leader: w.logs[part].Epoch})
		}
	}
	if len(ts) == 0 {
		return false
	}
	id := batch.ResumeID("g", "t", w.topic, ts)
	if i := slices.IndexFunc(w.resumes, func(r *resumption) bool { return r.ID == id }); i >= 0 && !w.resumed(w.resumes[i]) {
		return true
	}
	w.resumes = append(w.resumes, &resumption{Resume: Resume{id, ts}, topic: w.topic})
	w.logf("operator asks to resume %v", ts)
	return true
}

func (w *world) resumed(r *resumption) bool {
	run := w.runs[batch.ID("g", "t", r.topic, r.n)]
	return r.nonce == "done" || r.nonce != "" && run != nil && run.e.Nonce == r.nonce && run.status == Completed
}

// settleTruncation is what operators do in the end: they ask, or they stop the
// consumers and move the offsets. It may have been decided before, and that deleted
// before any planner saw it.
func (w *world) settleTruncation(i int) {
	if w.asks && i < 3000 && w.askResume() {
		return
	}
	w.assign(-1, true)
	w.behind = nil
	all := len(w.torn) == 0
	for part, l := range w.logs {
		if _, torn := w.torn[part]; all || torn {
			w.moveOffset(part, l.End)
		}
	}
}

func (p *proc) Resumes(_ context.Context, prefix string) ([]Resume, error) {
	w := p.w
	return ask(p, "resumes", func() (rs []Resume, err error) {
		for _, r := range w.resumes {
			if batch.Prefix("g", "t", r.topic) == prefix && !w.resumed(r) {
				rs = append(rs, r.Resume)
			}
		}
		return rs, nil
	})
}

// toldResume is an answer to a request to go on.
func (w *world) toldResume(id string, n int64) {
	for _, r := range w.resumes {
		run := w.runs[batch.ID("g", "t", r.topic, n)]
		if r.ID == id && !w.resumed(r) && run != nil && run.e.For == id {
			w.logf("request %s: entry %d", id, n)
			r.n, r.nonce = n, run.e.Nonce
		}
	}
}
