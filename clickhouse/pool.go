package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ClickHouse/ch-go"
)

const (
	// keepIdle is how many connections wait for the next insert: 2-3 inserts at
	// once are a worker's share of a server.
	keepIdle = 8
	// grace is how long after the end of its context a query may take to tell
	// the server so, before its connection is cut.
	grace = time.Second
)

// Inserter sends blocks of rows over a few connections that it keeps. Each new
// one goes to the first host that answers, in their order. It is safe for any
// number of goroutines, which it does not limit.
type Inserter struct {
	cfg  Config
	idle chan *conn
}

// conn is one connection, for one goroutine at a time.
type conn struct {
	*ch.Client
	wire net.Conn
	born time.Time
}

// NewInserter connects when there is something to insert.
func NewInserter(c Config) *Inserter { return &Inserter{cfg: c, idle: make(chan *conn, keepIdle)} }

// Close ends the idle connections. Those in use are ended when they are idle
// and no place is left, or with the process.
func (i *Inserter) Close() error {
	var errs error
	for {
		select {
		case c := <-i.idle:
			errs = errors.Join(errs, c.Close())
		default:
			return errs
		}
	}
}

// Ping returns nil when a server answered on a connection that the next insert
// may use. Its error is a *Failure.
func (i *Inserter) Ping(ctx context.Context) error {
	c, err := i.get(ctx)
	if err != nil {
		return err
	}
	i.put(c)
	return nil
}

// get is a connection that has answered just now: a broken one is found before
// any row was sent, not after. So its failure has sent nothing.
func (i *Inserter) get(ctx context.Context) (*conn, error) {
	for {
		select {
		case c := <-i.idle:
			if time.Since(c.born) < connLife && c.ping(ctx) == nil {
				return c, nil
			}
			_ = c.Close()
		default:
			return i.dial(ctx)
		}
	}
}

func (i *Inserter) put(c *conn) {
	if c.IsClosed() {
		return
	}
	select {
	case i.idle <- c:
	default:
		_ = c.Close()
	}
}

// dial is a connection to the first host that lets us in.
func (i *Inserter) dial(ctx context.Context) (*conn, error) {
	failed := unsent(errors.New("CLICKHOUSE_HOST names none"), "connect")
	for n, addr := range i.cfg.Addresses() {
		c, err := i.cfg.dial(ctx, addr)
		if err == nil {
			return c, nil
		}
		f := unsent(err, "connect to %s", addr)
		if n == 0 || f.Code != 0 { // what a server says tells more than silence
			failed = f
		}
	}
	return nil, failed
}

// dial connects by itself, since ch-go's Dial leaves the connection open when
// the server refuses to let us in.
func (c Config) dial(ctx context.Context, addr string) (*conn, error) {
	t, err := c.tls()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var wire net.Conn
	if t != nil {
		wire, err = (&tls.Dialer{Config: t}).DialContext(ctx, "tcp", addr)
	} else {
		wire, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	o := ch.Options{Database: c.Database, User: c.User, Password: c.Password, ClientName: clientName, ReadTimeout: dialTimeout}
	if c.Compression == "lz4" {
		o.Compression = ch.CompressionLZ4
	}
	client, err := ch.Connect(ctx, wire, o)
	if err != nil {
		_ = wire.Close()
		return nil, err
	}
	return &conn{client, wire, time.Now()}, nil
}

func unsent(err error, doing string, args ...any) *Failure {
	f := Wrap(err, doing, args...)
	f.Sent = false
	return f
}

// do is Do that returns soon after ctx has ended, whatever the peer does. ch-go
// would notice an end only between packets, and has no deadline within one.
func (c *conn) do(ctx context.Context, q ch.Query) error {
	defer c.watch(ctx)()
	return ended(ctx, c.Do(ctx, q))
}

// ended is err with why: after the end of its context an operation fails of
// whatever broke first, the connection that was cut for it, or a deadline. What
// the server said stays as it is.
func ended(ctx context.Context, err error) error {
	if end := ctx.Err(); err != nil && end != nil && !errors.Is(err, end) && !ch.IsException(err) {
		return fmt.Errorf("%w: %w", end, err)
	}
	return err
}

func (c *conn) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer c.watch(ctx)()
	return c.Ping(ctx)
}

// watch wakes a waiting read when ctx ends, so that the query is cancelled in
// order, and a little later cuts the connection, unless stopped before.
func (c *conn) watch(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		_ = c.wire.SetReadDeadline(time.Now())
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			_ = c.wire.Close()
		case <-done:
		}
	})
	return func() {
		end()
		close(done)
	}
}
