package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ai-backlog/ingest/client"
	"github.com/ai-backlog/ingest/monitor"
)

type options struct {
	metrics                   string
	agent                     uint
	rate                      float64
	every, patience, deadline time.Duration
}

// Report is what an agent prints.
type Report struct {
	Agent    uint
	Accepted int64 // records 1 to this one
	Flushed  int64 // and of them, those that the client has said are stored
	Again    int64 // calls that waited in vain, and were made again
	Closed   bool  // the last line
	Error    string
	client.Stats
}

type agent struct {
	options
	c        *client.Client
	accepted atomic.Int64
	flushed  atomic.Int64
	again    atomic.Int64
}

func run(ctx context.Context, o options) error {
	cfg, err := client.Load()
	if err != nil {
		return err
	}
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	reg := monitor.Registry("agent", "", "")
	if err := reg.Register(c); err != nil {
		return err
	}
	if err := monitor.Serve(context.WithoutCancel(ctx), o.metrics, reg, func() error { return nil }); err != nil { // also while it closes
		return err
	}
	a := &agent{options: o, c: c}
	flushing, stop := context.WithCancel(ctx)
	var flusher sync.WaitGroup
	flusher.Go(func() { a.flushAll(flushing) })
	err = a.store(ctx)
	stop()
	flusher.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.deadline)
	defer cancel()
	ended := c.Close(closing)
	if ended == nil {
		a.flushed.Store(a.accepted.Load())
	}
	a.report(true, ended)
	return errors.Join(err, ended)
}

const (
	// tick is how often the rate is kept.
	tick = 5 * time.Millisecond
	// callPatience is for how long a call may wait before it is made again.
	callPatience = 500 * time.Millisecond
	// unpaced is how many records are stored between two looks at the clock.
	unpaced = 1000
)

// store makes calls until ctx ends. Of the time
// that calls waited for the client a second is made up for.
func (a *agent) store(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	var owed float64
	for last := time.Now(); ctx.Err() == nil; {
		if a.rate == 0 {
			owed = unpaced
		} else {
			now := <-t.C
			owed = min(owed+a.rate*now.Sub(last).Seconds(), a.rate)
			last = now
		}
		for ; owed >= 1 && ctx.Err() == nil; owed-- {
			if err := a.next(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// next has one more record accepted, unless ctx ends.
func (a *agent) next(ctx context.Context) error {
	n := a.accepted.Load() + 1
	for ctx.Err() == nil {
		err := a.call(ctx, n)
		switch {
		case err == nil:
			a.accepted.Store(n)
			return nil
		case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			a.again.Add(1)
		default:
			return err
		}
	}
	return nil
}

func (a *agent) call(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	id, name := ID(uint32(a.agent), n), "agent-"+strconv.FormatUint(uint64(a.agent), 10) //nolint:gosec // a small number
	switch n % 5 {
	case 0:
		return a.c.StoreEvent(ctx, client.Event{EventID: id, AgentID: name, Type: "tool_called", Payload: json.RawMessage(`{"tool":"search_documents","ok":true}`)})
	case 1:
		return a.c.StoreMetric(ctx, client.Metric{EventID: id, AgentID: name, Name: "llm.latency_ms", Value: float64(n % 5000), Unit: "ms"})
	default:
		return a.c.StoreLog(ctx, client.Log{
			EventID: id, AgentID: name, Level: "INFO", Message: "tool call search_documents finished: 12 results in 184 ms, best score 0.83, cache miss",
			Attributes: map[string]string{"tool": "search_documents", "model": "large-2", "tokens_in": "1834", "tokens_out": "212"},
		})
	}
}

// ID is the event_id of the agent's record with the number.
func ID(agent uint32, n int64) (id uuid.UUID) {
	binary.BigEndian.PutUint32(id[0:], agent)
	binary.BigEndian.PutUint64(id[8:], uint64(n)) //nolint:gosec // from 1 on
	id[6], id[8] = 0x80, 0x80
	return id
}

// flushAll flushes until ctx ends.
func (a *agent) flushAll(ctx context.Context) {
	t := time.NewTimer(a.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		upTo := a.accepted.Load()
		patient, cancel := context.WithTimeout(ctx, a.patience)
		err := a.c.Flush(patient)
		cancel()
		if err == nil {
			a.flushed.Store(upTo)
		}
		a.report(false, err)
		t.Reset(a.every)
	}
}

func (a *agent) report(closed bool, err error) {
	r := Report{Agent: a.agent, Accepted: a.accepted.Load(), Flushed: a.flushed.Load(), Again: a.again.Load(), Closed: closed, Stats: a.c.Stats()}
	if err != nil {
		r.Error = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(r) // a line, in one piece
}
