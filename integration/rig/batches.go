package rig

import (
	"context"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/ai-backlog/ingest/batch"
)

// OpenBatches is how many batches are running, by visibility.
func (r *Rig) OpenBatches(ctx context.Context) (int64, error) {
	return r.countBatches(ctx, `WorkflowType IN ("Ingest", "MakeWay") AND ExecutionStatus = "Running"`)
}

// Batches is how many batches there are and were.
func (r *Rig) Batches(ctx context.Context) (int64, error) {
	return r.countBatches(ctx, `WorkflowType = "Ingest"`)
}

func (r *Rig) countBatches(ctx context.Context, query string) (int64, error) {
	c, err := r.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	n, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: "default", Query: query})
	return n.GetCount(), err
}

// silent is a logger for connections that are expected to fail at times.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}

// Retries is how often activities of all batches had to be tried again.
func (r *Rig) Retries(ctx context.Context) (int, error) {
	c, err := r.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	n := 0
	var page []byte
	for {
		l, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", NextPageToken: page, Query: `WorkflowType = "Ingest" AND IngestState = "stored"`})
		if err != nil {
			return 0, err
		}
		for _, e := range l.GetExecutions() {
			var o batch.Outcome
			if err := c.GetWorkflow(ctx, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId()).Get(ctx, &o); err != nil {
				return 0, err
			}
			n += o.Retries
		}
		if page = l.GetNextPageToken(); len(page) == 0 {
			return n, nil
		}
	}
}
