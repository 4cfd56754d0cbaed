package client

import (
	"github.com/google/uuid"

	"github.com/ai-backlog/ingest/record"
)

// item is a record that was accepted. Its bytes are written once and shared
// from then on.
type item struct {
	key, value []byte
	id         uuid.UUID // zero: it has none, and cannot go straight to ClickHouse
	accepted   int64     // milliseconds since 1970
	flush      uint64    // the flush that it is part of
	kind       record.Kind
	noKafka    bool  // Kafka has refused it for good
	tooLarge   uint8 // how often Kafka has refused a batch with it that should have fit
	noDirect   bool  // it cannot go straight to ClickHouse
}

// overhead is about what an item costs beside its bytes, here and in Kafka's
// client.
const overhead = 150

func (it *item) size() int64 { return int64(len(it.key)+len(it.value)) + overhead }

// queue is first in, first out, in segments, so that what was taken is free to be
// collected.
type queue struct {
	segments [][]item
	n        int
}

const segmentItems = 256

func (q *queue) push(it item) {
	last := len(q.segments) - 1
	if last < 0 || len(q.segments[last]) == cap(q.segments[last]) {
		q.segments = append(q.segments, make([]item, 0, segmentItems))
		last++
	}
	q.segments[last] = append(q.segments[last], it)
	q.n++
}

// first is the oldest item; there must be one.
func (q *queue) first() *item { return &q.segments[0][0] }

func (q *queue) pop() item {
	it := q.segments[0][0]
	q.segments[0][0] = item{}
	q.segments[0] = q.segments[0][1:]
	if len(q.segments[0]) == 0 {
		q.segments[0] = nil
		q.segments = q.segments[1:]
	}
	q.n--
	return it
}

// lots are the records of one kind that are certainly stored nowhere, by where
// they may go.
type lots struct {
	either, kafka, direct queue

	chunk []byte // what small records share
}

func (l *lots) of(it *item) *queue {
	switch {
	case it.noKafka:
		return &l.direct
	case it.noDirect:
		return &l.kafka
	}
	return &l.either
}

// chunkBytes is what small records share an allocation of.
const chunkBytes = 64 << 10

// copy puts small bytes beside each other.
func (l *lots) copy(v []byte) []byte {
	switch n := len(v); {
	case n == 0:
		return nil
	case n > chunkBytes/4:
		return append(make([]byte, 0, n), v...)
	case n > cap(l.chunk)-len(l.chunk):
		l.chunk = make([]byte, 0, chunkBytes)
	}
	from := len(l.chunk)
	l.chunk = append(l.chunk, v...)
	return l.chunk[from:len(l.chunk):len(l.chunk)]
}
