package planlog

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ai-backlog/ingest/batch"
)

// look is what a round saw of the topic, to know how long a record has waited.
type look struct {
	at   time.Time
	ends map[int32]int64
}

// remember keeps the looks of the last linger, and one that is older.
func (p *Planner) remember(l Logs) {
	st, ends := p.st, map[int32]int64{}
	for part, log := range l.Partitions {
		ends[part] = log.End
	}
	st.looks = append(st.looks, look{p.now(), ends})
	for len(st.looks) > 1 && p.now().Sub(st.looks[1].at) >= p.cfg.Linger {
		st.looks = st.looks[1:]
	}
}

// lingered tells whether some of the ranges was there a linger ago.
func (p *Planner) lingered(rs batch.Ranges) bool {
	old := p.st.looks[0]
	return p.now().Sub(old.at) >= p.cfg.Linger &&
		slices.ContainsFunc(rs, func(r batch.Range) bool { return r.First < old.ends[r.Partition] })
}

// plan is the next entry (rule 5), or false while it is better to wait.
func (p *Planner) plan(l Logs) (batch.Batch, bool) {
	st := p.st
	b := p.entry()
	owned := st.owned(p.off)
	next := map[int32]batch.Position{}
	var waiting batch.Ranges
	for _, part := range st.partitions(l, nil) {
		at := st.at(part)
		if st.opening && at.Offset > 0 {
			b.Opened = append(b.Opened, batch.Range{Partition: part, First: 0, Last: at.Offset - 1})
		}
		log, ok := l.Partitions[part]
		if !ok {
			next[part] = at
			continue
		}
		lost, r := ahead(at, log, owned, p.off)
		b.Lost = append(b.Lost, lost...)
		if first := min(r.First, log.End); first > at.Offset { // an open range may end above a truncated log
			at.Offset, at.Epoch = first, under(at, log)
		}
		if at.Epoch < 0 && at.Offset <= log.End && !p.off.noLearn { // so that whoever reads the entry knows it too
			at.Epoch = log.Epoch
		}
		next[part] = at
		if r.Len() > 0 {
			waiting = append(waiting, r)
		}
	}
	limit := p.limit(firstBatches)
	if len(st.back) == 0 && len(b.Lost) == 0 && waiting.Len() < limit && !p.lingered(waiting) {
		return b, false
	}
	b.Ranges = share(waiting, limit)
	for _, r := range b.Ranges {
		at := next[r.Partition]
		at.Offset, at.Epoch = r.Last+1, under(at, l.Partitions[r.Partition])
		next[r.Partition] = at
	}
	b.Next = positions(next)
	return b, true
}

// under is the leader epoch of what is planned up to the log's end. A leader whose
// epoch is lower than the position's was replaced: what is planned on its word is read
// from another, whose records are of the position's epoch.
func under(at batch.Position, log Log) int32 {
	if log.Epoch < 0 {
		return log.Epoch
	}
	return max(at.Epoch, log.Epoch)
}

// entry is number n with nothing in it.
func (p *Planner) entry() batch.Batch {
	return batch.Batch{Group: p.cfg.Group, Topic: p.cfg.Topic, TopicID: p.st.topicID, Number: p.st.n, Nonce: p.nonce(), Limits: p.cfg.Limits}
}

func positions(next map[int32]batch.Position) []batch.Position {
	return slices.SortedFunc(maps.Values(next), func(a, b batch.Position) int { return cmp.Compare(a.Partition, b.Partition) })
}

// ahead is what waits in a partition: from its position, or behind what is lost
// and what open entries own, up to the next offset that one of them owns.
func ahead(at batch.Position, log Log, owned batch.Ranges, off rules) (lost batch.Ranges, r batch.Range) {
	if off.noOverlap {
		owned = nil
	}
	r = batch.Range{Partition: at.Partition, First: jump(at, owned), Last: log.End - 1}
	if gone := (batch.Range{Partition: at.Partition, First: r.First, Last: log.First - 1}); gone.Len() > 0 {
		if !off.noLost {
			lost = batch.Ranges{gone}.Sub(owned)
		}
		r.First = jump(batch.Position{Partition: at.Partition, Offset: log.First}, owned)
	}
	for _, o := range owned {
		if r.Overlaps(o) {
			r.Last = min(r.Last, o.First-1)
		}
	}
	return lost, r
}

// jump moves an offset inside an open range to that range's end: its batch owns it.
func jump(at batch.Position, owned batch.Ranges) int64 {
	for _, o := range owned { // sorted and joined: one pass
		if o.Partition == at.Partition && o.First <= at.Offset && at.Offset <= o.Last {
			at.Offset = o.Last + 1
		}
	}
	return at.Offset
}

// share takes limit offsets in all, as evenly as what waits allows, so that a
// partition with a backlog does not hold up the others.
func share(waiting batch.Ranges, limit int64) (rs batch.Ranges) {
	byLen := slices.Clone(waiting)
	slices.SortStableFunc(byLen, func(a, b batch.Range) int { return cmp.Compare(a.Len(), b.Len()) })
	for i, r := range byLen {
		n := min(r.Len(), (limit+int64(len(byLen)-i)-1)/int64(len(byLen)-i))
		limit -= n
		r.Last = r.First + n - 1
		rs = append(rs, r)
	}
	return rs.Sort()
}

// While nothing is known of the records' sizes, batches are small. Replays are less so: they mostly find their records there, read
// nothing, and so teach nothing either.
const (
	firstBatches = 1000
	firstReplays = 10_000
)

// limit is how many records make a batch full; guess is how many while nothing is known of their size.
func (p *Planner) limit(guess int64) int64 {
	var bytes, records int64
	for _, o := range p.sizes {
		bytes, records = bytes+o.Bytes, records+o.Stored+o.DeadLettered
	}
	if bytes == 0 || records == 0 {
		return max(1, min(p.cfg.Records, guess))
	}
	fit := float64(p.cfg.Bytes) / (float64(bytes) / float64(records))
	return max(1, min(p.cfg.Records, int64(min(fit, math.MaxInt32))))
}

// measure keeps the last eight outcomes that read anything.
func (p *Planner) measure(o batch.Outcome) {
	if o.Bytes > 0 {
		p.sizes = append(p.sizes, o)
		p.sizes = p.sizes[max(0, len(p.sizes)-8):]
	}
}
