package activities

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/ai-backlog/ingest/batch"
)

// executions is the part of Temporal's client that tells how a batch ended.
type executions interface {
	DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	GetWorkflowHistory(ctx context.Context, id, run string, longPoll bool, filter enumspb.HistoryEventFilterType) client.HistoryEventIterator
	GetWorkflow(ctx context.Context, id, run string) client.WorkflowRun
}

// AwaitInput names a batch, and the ranges that it was appended for.
type AwaitInput struct {
	Workflow string       `json:"workflow"`
	Ranges   batch.Ranges `json:"ranges"`
	For      string       `json:"for,omitempty"` // the request that it is for, if that tells it from others
}

// Awaited is how a batch ended: completed, or gone. It is gone when Temporal does not know it, or knows another one by its
// name: a number can be used again after its workflow was deleted.
type Awaited struct {
	Gone    bool          `json:"gone,omitempty"`
	Outcome batch.Outcome `json:"outcome"`
}

// AwaitBatch asks once how a batch ended. That it has not is a failure, for Temporal to try again: so waiting for a batch that
// takes hours holds none of the few slots that operators' activities have, adds nothing to the waiting workflow's history,
// and goes on when this worker dies. A batch that was terminated or has failed has not ended: its planner starts it again.
// It only reads.
func (a *Activities) AwaitBatch(ctx context.Context, in AwaitInput) (Awaited, error) {
	d, err := a.Batches.DescribeWorkflowExecution(ctx, in.Workflow, "")
	var unknown *serviceerror.NotFound
	if errors.As(err, &unknown) {
		return Awaited{Gone: true}, nil
	}
	if err != nil {
		return Awaited{}, fail(Trouble{Class: Outage, Name: "TEMPORAL_UNREACHABLE", Message: fmt.Sprintf("look at batch %s: %v", in.Workflow, err)})
	}
	if s := d.GetWorkflowExecutionInfo().GetStatus(); s != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		return Awaited{}, fail(Trouble{Class: Outage, Name: "NOT_YET", Message: fmt.Sprintf("batch %s is %s", in.Workflow, s)})
	}
	out, err := a.ended(ctx, in, d.GetWorkflowExecutionInfo().GetExecution().GetRunId())
	if errors.As(err, &unknown) { // deleted meanwhile
		return Awaited{Gone: true}, nil
	}
	if err != nil {
		return Awaited{}, fail(Trouble{Class: Outage, Name: "TEMPORAL_UNREACHABLE", Message: fmt.Sprintf("read batch %s: %v", in.Workflow, err)})
	}
	return out, nil
}

// ended reads a completed batch: is it the one that is meant, and what came of it?
func (a *Activities) ended(ctx context.Context, in AwaitInput, run string) (out Awaited, err error) {
	first, err := a.Batches.GetWorkflowHistory(ctx, in.Workflow, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	if err != nil {
		return out, err
	}
	var b batch.Batch
	if err := converter.GetDefaultDataConverter().FromPayloads(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &b); err != nil {
		return out, err
	}
	if len(in.Ranges.Sort().Sub(b.Ranges)) > 0 || in.For != "" && in.For != b.For {
		return Awaited{Gone: true}, nil
	}
	return out, a.Batches.GetWorkflow(ctx, in.Workflow, run).Get(ctx, &out.Outcome)
}
