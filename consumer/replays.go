package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/planlog"
	"github.com/ai-backlog/ingest/workflows"
)

const (
	// maxRequests is how many open requests of a topic are asked at a time.
	maxRequests = 100
	// restLimit is how long planning stands still, every five seconds, for a request that no worker answers for: one that is
	// there answers within milliseconds.
	restLimit = time.Second
)

// Replays asks each open request what it still wants. A query sees every answer that Temporal has accepted before, so the rest
// is without what the planner told of. One that cannot answer now, since its worker is away, is passed over: it is asked again
// next time.
func (l *batches) Replays(ctx context.Context, prefix string) ([]planlog.Replay, error) {
	r, err := l.page(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: l.namespace, PageSize: maxRequests,
		Query: fmt.Sprintf("WorkflowType = 'Replay' AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH %q", batch.ReplayPrefix(prefix)),
	})
	if err != nil {
		return nil, fmt.Errorf("list replays: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var out []planlog.Replay
	asked := map[string]time.Time{}
	for _, x := range r.GetExecutions() {
		id := x.GetExecution().GetWorkflowId()
		wg.Go(func() {
			rest, err := l.rest(ctx, id)
			if err != nil {
				l.log.Debug("replay passed over for now", "replay", id, "error", err)
				return
			}
			if len(rest.Ranges) == 0 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			asked[id] = rest.Asked
			out = append(out, planlog.Replay{ID: id, Ranges: rest.Ranges, NotBefore: rest.NotBefore})
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b planlog.Replay) int {
		return cmp.Or(asked[a.ID].Compare(asked[b.ID]), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func (l *batches) rest(ctx context.Context, id string) (rest workflows.Rest, err error) {
	answer, err := l.c.QueryWorkflow(ctx, id, "", workflows.QueryRest)
	if err != nil {
		return rest, err
	}
	return rest, answer.Get(&rest)
}

// Answer tells a request of an entry. One that ended meanwhile needs no answer.
func (l *batches) Answer(ctx context.Context, id string, n int64, planned batch.Ranges) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	err := l.c.SignalWorkflow(ctx, id, "", workflows.SignalPlanned, workflows.Planned{Number: n, Ranges: planned})
	var ended *serviceerror.NotFound
	if errors.As(err, &ended) {
		return nil
	}
	return err
}
