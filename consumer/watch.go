package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/planlog"
)

const (
	hedgeFirst = 250 * time.Millisecond
	hedgeMost  = 2 * time.Second
	askTimeout = 5 * time.Second
	maxTook    = 1000
	fresh      = 2 * time.Second // an unknown batch is planned again: that may not rest on an old answer
)

// executions is what a watch asks of Temporal.
type executions interface {
	DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	GetWorkflow(ctx context.Context, id, run string) client.WorkflowRun
}

// watches wait for the open batches. A workflow's long poll can be 20 s late
// when a notification is dropped, so each is hedged with a description, at
// first after 250 ms, then less often.
type watches struct {
	c   executions
	ctx context.Context //nolint:containedctx // the program's life: a watch outlives the round that asked for it

	mu   sync.Mutex
	by   map[string]*watch
	took map[string]time.Duration // of batches whose completion was answered, until it is asked for
}

// watch is what is known of one batch.
type watch struct {
	cancel  context.CancelFunc
	status  planlog.Status
	outcome batch.Outcome
	took    time.Duration // from its start to its completion; 0: not known
	err     error
	seen    time.Time // when that was answered: asked it was at most askTimeout before
	used    time.Time
}

func newWatches(ctx context.Context, c executions) *watches {
	return &watches{c: c, ctx: ctx, by: map[string]*watch{}, took: map[string]time.Duration{}}
}

// poll answers what was last observed; the first call for a batch begins to
// watch it. Completed and unknown are answered once: the next call looks
// afresh. An unknown that nobody asked for while it was fresh is looked at again
// too, so that ErrNotFound was always answered just now. A failed batch is
// watched on, since an operator may reset it.
func (w *watches) poll(_ context.Context, id string) (planlog.Status, batch.Outcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for other, x := range w.by { // what nobody asks for any more, or knew too long ago
		if now.Sub(x.used) > time.Minute || x.err != nil && now.Sub(x.seen) > fresh {
			x.cancel()
			delete(w.by, other)
		}
	}
	x, ok := w.by[id]
	if !ok {
		ctx, cancel := context.WithCancel(w.ctx)
		x = &watch{cancel: cancel, status: planlog.Running}
		w.by[id] = x
		go w.follow(ctx, id, x) //nolint:contextcheck // a watch outlives the round that asked for it
	}
	x.used = now
	if x.err != nil || x.status == planlog.Completed {
		x.cancel()
		delete(w.by, id)
	}
	if x.status == planlog.Completed && x.took > 0 {
		if len(w.took) > maxTook { // of batches that were somebody else's by then
			clear(w.took)
		}
		w.took[id] = x.took
	}
	return x.status, x.outcome, x.err
}

// lasted is how long a batch took whose completion was answered just now.
func (w *watches) lasted(id string) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.took[id]
	delete(w.took, id)
	return d, ok
}

// forget drops what is known of a batch that was started again.
func (w *watches) forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x, ok := w.by[id]; ok {
		x.cancel()
		delete(w.by, id)
	}
}

// follow runs until the batch is completed or unknown.
func (w *watches) follow(ctx context.Context, id string, x *watch) {
	closed := make(chan struct{}, 1)
	go func() { // the long poll only wakes: what it says of which run is asked again
		_ = w.c.GetWorkflow(ctx, id, "").Get(ctx, nil)
		closed <- struct{}{}
	}()
	every := hedgeFirst
	t := time.NewTimer(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-closed:
		case <-t.C:
		}
		s, o, took, err := w.observe(ctx, id)
		if err == nil || errors.Is(err, planlog.ErrNotFound) {
			w.mu.Lock()
			x.status, x.outcome, x.took, x.err, x.seen = s, o, took, err, time.Now()
			w.mu.Unlock()
		}
		if errors.Is(err, planlog.ErrNotFound) || err == nil && s == planlog.Completed {
			return
		}
		every = min(every*2, hedgeMost)
		t.Reset(every)
	}
}

// observe describes the batch's current run, and reads its outcome.
func (w *watches) observe(ctx context.Context, id string) (s planlog.Status, o batch.Outcome, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	d, err := w.c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return planlog.Running, o, 0, notFound(id, err)
	}
	x := d.GetWorkflowExecutionInfo()
	if s = status(x.GetStatus()); s != planlog.Completed {
		return s, o, 0, nil
	}
	if err := w.c.GetWorkflow(ctx, id, x.GetExecution().GetRunId()).Get(ctx, &o); err != nil {
		return planlog.Running, o, 0, err // its outcome is asked for again
	}
	return s, o, x.GetCloseTime().AsTime().Sub(began(ctx, w.c, x)), nil
}
