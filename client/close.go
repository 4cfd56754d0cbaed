package client

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ai-backlog/ingest/record"
)

// grace is how long Kafka's client may take to give back what it certainly has
// not sent: as long as it waits at most between two tries.
const grace = 3 * time.Second

// Close accepts nothing more, waits as Flush does, and ends the client. Without
// a deadline it waits for as long as it takes, but not for records of which
// nothing will be heard any more.
//
// With one, what is left when half of the time has passed goes straight to
// ClickHouse, whatever Kafka does: records that certainly were not sent to it,
// and, marked, those in doubt, which Kafka may have too. starter audit finds such
// doubles by event_id, and removes the marked copy. Without another way than Kafka
// (a negative Config.FallbackAfter) all of the time is Kafka's. What is stored
// nowhere in the end is lost with the process: the *UnsentError and a line of the
// log say how many. Where ClickHouse left an insert unanswered and has not its
// rows, they are not sent under another token before 75 seconds have passed, in
// which it may still be at work: a shorter deadline may end with them.
//
// A context that is canceled already leaves no time for anything: give one of its
// own, not the one that ended the program. A second call returns ErrClosed.
func (c *Client) Close(ctx context.Context) error {
	if c.closed.Swap(true) {
		return ErrClosed
	}
	c.buffer.close()
	patient, cancel := context.WithCancel(ctx)
	if c.cfg.falls() {
		patient, cancel = withHalf(ctx)
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		c.await(patient, math.MaxInt64, c.hopeless)
		cancel()
	})
	err := c.buffer.wait(patient)
	cancel()
	watching.Wait()
	if err != nil {
		c.giveUp(ctx)
	}
	c.end()
	c.feeders.Wait()
	c.diverters.Wait()
	c.watchers.Wait()
	c.closeKafka(ctx)
	if c.inserter != nil {
		_ = c.inserter.Close()
		_ = c.looker.Close()
		_ = c.queries.Close()
	}
	return c.farewell(ctx)
}

// farewell says what the client leaves behind.
func (c *Client) farewell(ctx context.Context) error {
	if n := c.Stats().Marked; n > 0 {
		c.cfg.Logger.Warn("records in doubt were stored straight in clickhouse, marked: starter audit removes those that kafka has too", "records", n)
	}
	if n, _ := c.buffer.size(); n == 0 {
		return nil
	}
	err := c.unsent(context.Cause(ctx), true)
	c.cfg.Logger.Error("client is closed with records that are stored nowhere", "error", err)
	return err
}

// hopeless tells whether nothing will be heard any more of any record that is left.
func (c *Client) hopeless() bool {
	lost := 0
	for _, l := range c.lanes {
		l.mu.Lock()
		lost += len(l.lost)
		l.mu.Unlock()
	}
	n, _ := c.buffer.size()
	return n > 0 && n == int64(lost)
}

// withHalf is ctx with half of the time that is left until its deadline.
func withHalf(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// giveUp takes everything away from Kafka's client, and stores it in ClickHouse.
// From here on a record that comes back too late stays where it is, and is told
// as unsent.
func (c *Client) giveUp(ctx context.Context) {
	c.unfeed()
	c.feeders.Wait() // nothing is handed over any more
	landed := func() bool { return c.flying() == 0 }
	soon, cancel := withHalf(ctx)
	c.await(soon, grace, landed)
	cancel()
	soon, cancel = withHalf(ctx)
	c.closeKafka(soon)
	c.await(soon, grace, landed)
	cancel()
	stop := context.AfterFunc(ctx, c.end)
	defer stop()
	for _, l := range c.lanes {
		l.close()
	}
	if !c.cfg.falls() {
		return
	}
	c.diverters.Wait() // they end when nothing is left, or with ctx
	for _, l := range c.lanes {
		for part := range slices.Chunk(l.takeLost(), directRows) {
			l.store(ctx, part, record.DirectDoubt)
		}
	}
}

// flying is how many records Kafka's client has.
func (c *Client) flying() (n int64) {
	for _, l := range c.lanes {
		l.mu.Lock()
		n += l.now.records + l.old.records
		l.mu.Unlock()
	}
	return n
}

// await returns when done, or after the time, or when ctx ends.
func (c *Client) await(ctx context.Context, most time.Duration, done func() bool) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(watchEvery / 10)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// closeKafka fails all that Kafka's clients still have. A server that accepts
// connections and says nothing holds it longer than ctx.
func (c *Client) closeKafka(ctx context.Context) {
	all := map[*producer]bool{c.kafka: true}
	for _, l := range c.lanes {
		l.mu.Lock()
		all[l.producer] = true
		l.mu.Unlock()
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		var closing sync.WaitGroup
		for cl := range all {
			closing.Go(cl.Close)
		}
		closing.Wait()
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

// close has the lane store whatever is left straight away, and then end.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.direct {
		l.begin()
	}
	l.direct, l.closing = true, true
	signal(l.divert)
}

// takeLost is what may be in Kafka and will be heard of no more, but for what
// has no event_id by which a double could be found.
func (l *lane) takeLost() (out []item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []item
	for _, it := range l.lost {
		if it.id == uuid.Nil {
			kept = append(kept, it)
			continue
		}
		out = append(out, it)
	}
	l.lost = kept
	return out
}
