package client

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ai-backlog/ingest/record"
)

// StoreLog accepts a log: from then on the client brings it to where it belongs,
// once. It copies what it needs, and returns in microseconds; only while the
// buffer is full it waits, until ctx ends.
//
// After any error the record was not accepted. It is an *InvalidError or a
// *TooLargeError, which the same record meets again; ErrClosed; or an
// *UnsentError with the reason of ctx's end: the buffer is full of records that
// neither server takes.
func (c *Client) StoreLog(ctx context.Context, l Log) error {
	p := c.pen()
	defer c.pens.Put(p)
	l.Service, l.AgentID = cmp.Or(l.Service, c.cfg.Service), cmp.Or(l.AgentID, c.cfg.AgentID)
	err := p.given(&l.Timestamp, &l.EventID)
	if err == nil {
		p.text, err = appendLog(p.text[:0], &l)
	}
	return c.store(ctx, p, record.Log, l.EventID, cmp.Or(l.AgentID, l.Service), err)
}

// StoreMetric is StoreLog for a metric.
func (c *Client) StoreMetric(ctx context.Context, m Metric) error {
	p := c.pen()
	defer c.pens.Put(p)
	m.Service, m.AgentID = cmp.Or(m.Service, c.cfg.Service), cmp.Or(m.AgentID, c.cfg.AgentID)
	err := p.given(&m.Timestamp, &m.EventID)
	if err == nil {
		p.text, err = appendMetric(p.text[:0], &m)
	}
	return c.store(ctx, p, record.Metric, m.EventID, cmp.Or(m.AgentID, m.Service), err)
}

// StoreEvent is StoreLog for an event.
func (c *Client) StoreEvent(ctx context.Context, e Event) error {
	p := c.pen()
	defer c.pens.Put(p)
	e.Service, e.AgentID = cmp.Or(e.Service, c.cfg.Service), cmp.Or(e.AgentID, c.cfg.AgentID)
	err := p.given(&e.Timestamp, &e.EventID)
	if err == nil {
		p.text, err = appendEvent(p.text[:0], &e, p.check)
	}
	return c.store(ctx, p, record.Event, e.EventID, cmp.Or(e.AgentID, e.Service), err)
}

// StoreLogs is StoreLog for each, in their order. It stops at the first error,
// which says how many were accepted: those before it.
func (c *Client) StoreLogs(ctx context.Context, logs []Log) error {
	return each(ctx, logs, c.StoreLog)
}

// StoreMetrics is StoreLogs for metrics.
func (c *Client) StoreMetrics(ctx context.Context, metrics []Metric) error {
	return each(ctx, metrics, c.StoreMetric)
}

// StoreEvents is StoreLogs for events.
func (c *Client) StoreEvents(ctx context.Context, events []Event) error {
	return each(ctx, events, c.StoreEvent)
}

func each[T any](ctx context.Context, all []T, store func(context.Context, T) error) error {
	for i, one := range all {
		if err := store(ctx, one); err != nil {
			return fmt.Errorf("%d of %d were accepted: %w", i, len(all), err)
		}
	}
	return nil
}

// StoreJSON accepts a value that is JSON already and is sent to Kafka as it is,
// under the key, even if it is no valid record: then the pipeline makes a dead
// letter of it. Straight to ClickHouse goes only what is valid and has an
// event_id; anything else waits for Kafka.
func (c *Client) StoreJSON(ctx context.Context, kind record.Kind, key string, value []byte) error {
	if _, ok := c.lanes[kind]; !ok {
		return fmt.Errorf("%s is none of the kinds", kind)
	}
	p := c.pen()
	defer c.pens.Put(p)
	p.text = append(p.text[:0], value...)
	var id uuid.UUID
	if c.cfg.falls() {
		check := p.checks[kind]
		if check.Check(value) == nil {
			id, _ = check.EventID()
		}
	}
	return c.store(ctx, p, kind, id, key, nil)
}

// pen is what one call writes with.
type pen struct {
	text, key []byte
	random    *bufio.Reader   // what IDs are made of: a system call for many
	check     *record.Checker // of payloads
	checks    map[record.Kind]*record.Checker
}

func (c *Client) pen() *pen {
	if p, ok := c.pens.Get().(*pen); ok {
		return p
	}
	p := &pen{random: bufio.NewReaderSize(rand.Reader, 4<<10), checks: map[record.Kind]*record.Checker{}}
	for _, k := range record.Kinds() {
		p.checks[k] = record.NewChecker(k)
	}
	p.check = p.checks[record.Event]
	return p
}

// given fills in what a record has in any case.
func (p *pen) given(at *time.Time, id *uuid.UUID) (err error) {
	if at.IsZero() {
		*at = time.Now()
	}
	if *id == uuid.Nil {
		*id, err = uuid.NewV7FromReader(p.random)
	}
	return err
}

// store puts what the pen has written into the buffer.
func (c *Client) store(ctx context.Context, p *pen, kind record.Kind, id uuid.UUID, key string, err error) error {
	if err != nil {
		c.invalid[kind].Add(1)
		return err
	}
	p.key = append(p.key[:0], key...)
	size := len(p.key) + len(p.text)
	if limit := int(c.lanes[kind].limit.Load()); size+batchOverhead > limit {
		c.tooLarge[kind].Add(1)
		return &TooLargeError{Size: size, Limit: limit, Topic: c.lanes[kind].topic}
	}
	err = c.buffer.put(ctx, item{kind: kind, key: p.key, value: p.text, id: id, noDirect: id == uuid.Nil})
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	if _, large := errors.AsType[*TooLargeError](err); large {
		c.tooLarge[kind].Add(1)
		return err
	}
	full := c.unsent(err, false)
	full.full = true
	return full
}
