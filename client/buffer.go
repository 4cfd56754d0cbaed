package client

import (
	"context"
	"sync"
	"time"

	"github.com/ai-backlog/ingest/record"
)

// buffer holds every record that was accepted until it is settled: stored by one
// of the servers, or refused by both for good. Those in its lots are certainly
// in neither; those that were taken out are somebody's to settle or to put back.
type buffer struct {
	limit int64
	told  func(record.Kind) // called, locked, when there is something to take

	mu      sync.Mutex
	closed  bool
	used    int64 // bytes of what is not settled
	count   int64 // records
	lots    map[record.Kind]*lots
	waiters int
	room    chan struct{} // closed, and made anew, when something was settled while somebody waits

	flush   uint64           // of what is accepted now
	pending int64            // of it, not settled
	earlier map[uint64]int64 // not settled, by flush; none is zero
	drained chan struct{}    // closed, and made anew, when an earlier flush has come to its end
}

func newBuffer(limit int64, told func(record.Kind)) *buffer {
	b := &buffer{limit: limit, told: told, lots: map[record.Kind]*lots{}, room: make(chan struct{}), earlier: map[uint64]int64{}, drained: make(chan struct{})}
	for _, k := range record.Kinds() {
		b.lots[k] = &lots{}
	}
	return b
}

// put accepts a record and copies its bytes. It waits while the buffer is full,
// until ctx ends.
func (b *buffer) put(ctx context.Context, it item) error {
	size := it.size()
	if size > b.limit {
		return &TooLargeError{Size: len(it.key) + len(it.value), Limit: int(b.limit)}
	}
	it.accepted = time.Now().UnixMilli()
	b.mu.Lock()
	for !b.closed && b.used+size > b.limit {
		if err := b.waitForRoom(ctx); err != nil {
			b.mu.Unlock()
			return err
		}
	}
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	l := b.lots[it.kind]
	it.key, it.value, it.flush = l.copy(it.key), l.copy(it.value), b.flush
	l.of(&it).push(it)
	b.used += size
	b.count++
	b.pending++
	b.told(it.kind) // before close can come between
	b.mu.Unlock()
	return nil
}

// waitForRoom gives the lock away meanwhile.
func (b *buffer) waitForRoom(ctx context.Context) error {
	b.waiters++
	room := b.room
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.waiters--
	}()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// take removes records for Kafka until they have the bytes or fill into: first
// those that go nowhere else.
func (b *buffer) take(k record.Kind, into []item, bytes int64) []item {
	l := b.lots[k]
	return b.from(into, bytes, &l.kafka, &l.either)
}

// takeDirect removes records for ClickHouse until they have the bytes or fill
// into: those that go nowhere else, and with either those that may go to Kafka.
func (b *buffer) takeDirect(k record.Kind, into []item, bytes int64, either bool) []item {
	l := b.lots[k]
	if either {
		return b.from(into, bytes, &l.direct, &l.either)
	}
	return b.from(into, bytes, &l.direct)
}

func (b *buffer) from(into []item, bytes int64, queues ...*queue) []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range queues {
		for q.n > 0 && bytes > 0 && len(into) < cap(into) {
			it := q.pop()
			bytes -= it.size()
			into = append(into, it)
		}
	}
	return into
}

// direct is how many records wait for ClickHouse, and since when the first of
// them does; with either those count that may go to Kafka.
func (b *buffer) direct(k record.Kind, either bool) (n int, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queues := []*queue{&b.lots[k].direct}
	if either {
		queues = append(queues, &b.lots[k].either)
	}
	for _, q := range queues {
		if q.n == 0 {
			continue
		}
		if at := time.UnixMilli(q.first().accepted); n == 0 || at.Before(since) {
			since = at
		}
		n += q.n
	}
	return n, since
}

// back returns records that are certainly stored nowhere.
func (b *buffer) back(items ...item) {
	if len(items) == 0 {
		return
	}
	b.mu.Lock()
	for _, it := range items {
		b.lots[it.kind].of(&it).push(it)
	}
	b.told(items[0].kind)
	b.mu.Unlock()
}

// settle says that records need no more care: each is in its one place.
func (b *buffer) settle(items ...item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range items {
		it := &items[i]
		b.used -= it.size()
		b.count--
		if it.flush == b.flush {
			b.pending--
			continue
		}
		if b.earlier[it.flush]--; b.earlier[it.flush] == 0 {
			delete(b.earlier, it.flush)
			close(b.drained)
			b.drained = make(chan struct{})
		}
	}
	b.let()
}

// let has whoever waits for room look again.
func (b *buffer) let() {
	if b.waiters > 0 {
		close(b.room)
		b.room = make(chan struct{})
	}
}

// wait returns when everything that was accepted before is settled, or with the
// reason of ctx's end.
func (b *buffer) wait(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending > 0 {
		b.earlier[b.flush] = b.pending
		b.flush, b.pending = b.flush+1, 0
	}
	for before := b.flush; b.open(before); {
		drained := b.drained
		b.mu.Unlock()
		var err error
		select {
		case <-drained:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		b.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// open tells whether something of the flushes before this one is not settled.
func (b *buffer) open(before uint64) bool {
	for f := range b.earlier {
		if f < before {
			return true
		}
	}
	return false
}

// close accepts nothing more, and lets go whoever waits for room.
func (b *buffer) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.let()
}

// size is what is not settled.
func (b *buffer) size() (records, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count, b.used
}

// waiting is how many records of the kind are nobody's yet and may go to Kafka.
func (b *buffer) waiting(k record.Kind) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lots[k]
	return int64(l.either.n + l.kafka.n)
}

// some tells whether records of the kind are nobody's yet.
func (b *buffer) some(k record.Kind) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lots[k]
	return l.either.n+l.kafka.n+l.direct.n > 0
}
