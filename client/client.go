package client

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/record"
)

// Client stores records. It is safe for any number of goroutines; a program has
// one. Close it before the program ends: what it holds is in memory only.
type Client struct {
	cfg    Config
	id     uuid.UUID
	buffer *buffer
	lanes  map[record.Kind]*lane
	pens   sync.Pool // of *pen

	kafka    *producer
	watcher  watcher
	inserter *clickhouse.Inserter
	queries  driver.Conn
	looker   *clickhouse.Looker
	blocks   atomic.Int64

	sent, direct, marked map[record.Kind]*atomic.Int64
	invalid, tooLarge    map[record.Kind]*atomic.Int64
	dropped              map[record.Kind]*atomic.Int64 // accepted, and refused by both servers

	closed    atomic.Bool
	life      context.Context    //nolint:containedctx // of what the client does by itself
	end       context.CancelFunc // of it
	feeding   context.Context    //nolint:containedctx // of what goes to Kafka; ends before
	unfeed    context.CancelFunc // of it
	feeders   sync.WaitGroup
	diverters sync.WaitGroup
	watchers  sync.WaitGroup
}

// New is a client that connects when it has something to send, so that no server
// has to be there. Its error is one of the configuration.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, lanes: map[record.Kind]*lane{}}
	if c.id, err = uuid.NewV7(); err != nil {
		return nil, err
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.feeding, c.unfeed = context.WithCancel(c.life)
	c.buffer = newBuffer(cfg.BufferBytes, c.wake)
	for _, m := range []*map[record.Kind]*atomic.Int64{&c.sent, &c.direct, &c.marked, &c.invalid, &c.tooLarge, &c.dropped} {
		*m = map[record.Kind]*atomic.Int64{}
		for _, k := range record.Kinds() {
			(*m)[k] = &atomic.Int64{}
		}
	}
	if c.kafka, err = c.newKafka(); err != nil {
		return nil, err
	}
	for _, k := range record.Kinds() {
		c.lanes[k] = newLane(c, k)
	}
	if cfg.falls() {
		c.inserter = clickhouse.NewInserter(cfg.ClickHouse)
		if c.queries, err = clickhouse.Open(cfg.ClickHouse); err != nil {
			return nil, err
		}
		if c.looker, err = clickhouse.LookerOf(cfg.ClickHouse, c.queries); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// wake is told that a lane has something to take, and starts it with its first
// record.
func (c *Client) wake(k record.Kind) {
	l := c.lanes[k]
	l.start.Do(func() { c.run(l) })
	signal(l.pump)
	signal(l.divert)
}

// run starts what brings the lane's records to the servers.
func (c *Client) run(l *lane) {
	l.begun()
	c.feeders.Go(func() { l.feed(c.feeding) })
	c.watchers.Go(func() { l.watch(c.life) })
	if c.cfg.falls() {
		c.diverters.Go(func() { l.divertAll(c.life) })
	}
}

// Flush waits until everything that was accepted before the call is stored for
// good: acknowledged by Kafka, or in ClickHouse. It gives up when ctx ends, with
// an *UnsentError; the client goes on trying all the same.
func (c *Client) Flush(ctx context.Context) error {
	if err := c.buffer.wait(ctx); err != nil {
		return c.unsent(err, false)
	}
	return nil
}
