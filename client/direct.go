package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/google/uuid"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/record"
)

const (
	// directRows and directBytes bound a block: many small parts are what a table
	// suffers from, and what is in a block can go nowhere else.
	directRows  = 20_000
	directBytes = 16 << 20
	// directLinger is how long a record waits for others to share its block.
	directLinger = time.Second
	// tokenValid is for how long a block is sent again under its token. A dedup
	// window of 100,000 inserts lasts longer even at 150 inserts a second; after it
	// the table is asked which of the rows it has.
	tokenValid = 10 * time.Minute
	// quiet is how long an insert that was left unanswered may still be at work.
	quiet = clickhouse.InsertTimeout + 15*time.Second

	firstRetry, lastRetry = 200 * time.Millisecond, 5 * time.Second
)

// divertAll stores records straight into the table while that is the way, until
// ctx ends, or the client closes and nothing is left.
func (l *lane) divertAll(ctx context.Context) {
	for {
		items, open := l.collect(ctx)
		if len(items) > 0 {
			l.store(ctx, items, record.DirectSure)
		}
		if !open {
			return
		}
	}
}

// collect waits for a block's records. open is false when there will be no more.
func (l *lane) collect(ctx context.Context) (items []item, open bool) {
	into := make([]item, 0, directRows)
	for {
		l.mu.Lock()
		either, closing := l.closing || l.direct && !l.probed, l.closing
		rest := !closing && time.Now().Before(l.resting)
		l.mu.Unlock()
		n, since := l.c.buffer.direct(l.kind, either)
		if !rest && (closing || n >= directRows || n > 0 && lingered(since)) {
			items = l.c.buffer.takeDirect(l.kind, into, directBytes, either)
			return items, !closing || len(items) > 0
		}
		select {
		case <-ctx.Done():
			return nil, false
		case <-l.divert: // at least every watchEvery
		}
	}
}

// lingered tells whether whoever waits since then has waited for long enough; also
// if the clock was set back meanwhile.
func lingered(since time.Time) bool {
	d := time.Since(since)
	return d < 0 || d >= directLinger
}

// store brings records into the table, each once, however often it takes. What
// the table refuses goes back, to wait for Kafka. It returns when nothing is
// left to do, or when ctx ends; then the records of the block are not settled.
func (l *lane) store(ctx context.Context, items []item, mark int64) {
	b := l.fill(items, mark)
	wait := backoff.WithContext(backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(lastRetry), backoff.WithMaxElapsedTime(0)), ctx)
	_ = backoff.Retry(func() error { // its error is that of ctx
		err := l.step(ctx, b)
		if err != nil && ctx.Err() != nil {
			return err // says only that it was given up
		}
		l.mu.Lock()
		first := err != nil && l.tableErr == nil
		l.tableErr = err
		l.mu.Unlock()
		if first {
			l.c.cfg.Logger.Warn("clickhouse does not take records either: they wait", "table", l.kind.Table(), "records", len(b.items), "error", err)
		}
		return err
	}, wait)
}

var errAtWork = errors.New("an insert that was left unanswered may still be at work")

// block is what goes into the table with one insert.
type block struct {
	items []item
	rows  *record.Block
	mark  int64
	token string
	// from and to are the first and the last time among the rows.
	from, to time.Time

	begun      time.Time // when it was first sent; zero: certainly never
	unanswered time.Time // when the last insert ended that the server did not answer
	refused    error     // the server's answer, if the same again would not help
}

// fill makes a block of the records. Those that cannot be rows go back.
func (l *lane) fill(items []item, mark int64) *block {
	b := &block{mark: mark, rows: record.NewBlock(l.kind), token: l.c.nextToken()}
	for _, it := range items {
		at := record.Coordinates{Topic: l.topic, Partition: record.DirectPartition, Offset: mark, Timestamp: time.UnixMilli(it.accepted)}
		err := errors.New("it has no event_id")
		if it.id != uuid.Nil {
			err = b.rows.Append(it.value, at)
		}
		switch {
		case err == nil:
			b.items = append(b.items, it)
			b.cover(b.rows.LastTime())
		case mark == record.DirectDoubt:
			l.lose(it)
		default:
			it.noDirect = true
			l.returned(it, fmt.Errorf("it cannot go straight to ClickHouse: %w", err))
		}
	}
	return b
}

// step tries once to bring the block to an end: nil if there is nothing left of
// it to do.
func (l *lane) step(ctx context.Context, b *block) error {
	if len(b.items) == 0 {
		return nil
	}
	if b.begun.IsZero() && b.mark == record.DirectSure && !l.wanted(b) {
		l.c.buffer.back(b.items...) // Kafka is back, and nothing was sent
		b.items = nil
		return nil
	}
	if b.refused == nil && (b.begun.IsZero() || time.Since(b.begun) < tokenValid) {
		return l.send(ctx, b)
	}
	if time.Since(b.unanswered) < quiet {
		return errors.Join(b.refused, errAtWork)
	}
	return l.find(ctx, b)
}

// wanted tells whether the block's records should still go this way: not if one
// of them could prove that Kafka is back.
func (l *lane) wanted(b *block) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return b.items[0].noKafka || l.closing || l.direct && !l.probed
}

// send inserts the block, always the same rows under the same token.
func (l *lane) send(ctx context.Context, b *block) error {
	began := time.Now()
	err := l.c.inserter.Insert(ctx, l.kind.Table(), b.rows.Input(), b.token)
	switch {
	case err == nil && !b.begun.IsZero():
		return l.prove(ctx, b)
	case err == nil:
		l.stored(b, b.items)
		return nil
	}
	var f *clickhouse.Failure
	if errors.As(err, &f) && !f.Sent {
		return err
	}
	if b.begun.IsZero() {
		b.begun = began
		l.missed(int64(len(b.items)))
	}
	switch {
	case f == nil || f.Code == 0:
		b.unanswered = time.Now()
	case f.Class != clickhouse.Outage:
		b.refused = err
	}
	return err
}

// prove settles a block that was acknowledged after it had been in doubt. That
// proves only that the table knows its token: a server that was killed meanwhile
// may know it and not have the rows. None of them comes later, because what is
// late is dropped by the token; so those that the table has not are a block of
// their own, with another one.
func (l *lane) prove(ctx context.Context, b *block) error {
	stored, left, err := l.look(ctx, b)
	if err != nil {
		return err
	}
	if len(left) > 0 && time.Since(b.unanswered) < quiet {
		return errAtWork // another host may answer than the one that is at it
	}
	l.stored(b, stored)
	if len(left) == 0 {
		return nil
	}
	l.missed(-int64(len(left)))
	*b = *l.fill(left, b.mark)
	return errors.New("it knows the block and has not all of its rows")
}

// look asks the table which of the block's rows it has.
func (l *lane) look(ctx context.Context, b *block) (stored, left []item, err error) {
	ids := make([]uuid.UUID, len(b.items))
	for i, it := range b.items {
		ids[i] = it.id
	}
	there, err := l.c.looker.DirectEvents(ctx, l.kind.Table(), l.topic, b.from, b.to, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, it := range b.items {
		if there[it.id] {
			stored = append(stored, it)
		} else {
			left = append(left, it)
		}
	}
	return stored, left, nil
}

// find settles the rows that the table has. The others are certainly not stored,
// since nothing is at work any more: they go back. If the table has refused them
// for what they are, they wait for Kafka; if for what it is, somebody may mend it.
func (l *lane) find(ctx context.Context, b *block) error {
	stored, left, err := l.look(ctx, b)
	if err != nil {
		return errors.Join(b.refused, err)
	}
	l.stored(b, stored)
	l.missed(-int64(len(left)))
	b.items = nil
	if b.mark == record.DirectDoubt {
		l.lose(left...) // they may be in Kafka
		return nil
	}
	var f *clickhouse.Failure
	rejected := errors.As(b.refused, &f) && f.Class == clickhouse.Rejected
	if rejected && len(left) > 0 {
		l.c.cfg.Logger.Warn("clickhouse refuses records: they wait for kafka", "table", l.kind.Table(), "records", len(left), "error", b.refused)
	}
	for _, it := range left {
		it.noDirect = it.noDirect || rejected
		l.returned(it, b.refused)
	}
	if b.refused != nil && !rejected {
		l.mu.Lock()
		l.resting = time.Now().Add(lastRetry)
		l.mu.Unlock()
	}
	return nil
}

// stored settles rows that the table has.
func (l *lane) stored(b *block, items []item) {
	if !b.begun.IsZero() {
		l.missed(-int64(len(items)))
	}
	n := l.c.direct[l.kind]
	if b.mark == record.DirectDoubt {
		n = l.c.marked[l.kind]
	}
	n.Add(int64(len(items)))
	l.c.buffer.settle(items...)
	if len(items) == len(b.items) {
		b.items = nil
	}
}

func (b *block) cover(at time.Time) {
	if b.from.IsZero() || at.Before(b.from) {
		b.from = at
	}
	if at.After(b.to) {
		b.to = at
	}
}

// lose keeps records of which nothing will be heard any more.
func (l *lane) lose(items ...item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = append(l.lost, items...)
}

// missed counts records of blocks that ClickHouse has not answered for.
func (l *lane) missed(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missing += n
}

// nextToken names a block: no other has the name.
func (c *Client) nextToken() string {
	return "direct/" + c.id.String() + "/" + strconv.FormatInt(c.blocks.Add(1), 10)
}
