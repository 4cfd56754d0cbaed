package main

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/planlog"
	"github.com/ai-backlog/ingest/workflows"
)

// Resumes reads what the open requests ask for, which no worker is needed for.
func (l *batches) Resumes(ctx context.Context, prefix string) ([]planlog.Resume, error) {
	r, err := l.page(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: l.namespace, PageSize: maxRequests,
		Query: fmt.Sprintf("WorkflowType = 'Resume' AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH %q", batch.ResumePrefix(prefix)),
	})
	if err != nil {
		return nil, fmt.Errorf("list requests to resume: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var out []planlog.Resume
	for _, x := range r.GetExecutions() {
		var in workflows.ResumeInput
		if err := l.input(ctx, x.GetExecution(), &in); err != nil {
			return nil, fmt.Errorf("read request %s: %w", x.GetExecution().GetWorkflowId(), err)
		}
		out = append(out, planlog.Resume{ID: x.GetExecution().GetWorkflowId(), Truncated: in.Truncated})
	}
	return out, nil
}
