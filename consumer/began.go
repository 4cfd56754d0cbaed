package main

import (
	"context"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
)

// describer is how a workflow's runs are looked at.
type describer interface {
	DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// began is when the batch was started: a run that goes on with another's work, or was reset, is younger. Where Temporal has
// forgotten the first run, it is this one's start.
func began(ctx context.Context, c describer, x *workflowpb.WorkflowExecutionInfo) time.Time {
	run, first := x.GetExecution().GetRunId(), x.GetFirstRunId()
	if first == "" || first == run {
		return x.GetStartTime().AsTime()
	}
	d, err := c.DescribeWorkflowExecution(ctx, x.GetExecution().GetWorkflowId(), first)
	if err != nil {
		return x.GetStartTime().AsTime()
	}
	return d.GetWorkflowExecutionInfo().GetStartTime().AsTime()
}
