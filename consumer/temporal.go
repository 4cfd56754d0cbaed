package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/planlog"
	"github.com/ai-backlog/ingest/workflows"
)

// newest is how many of the newest batches a takeover lists beside those that are
// not completed: never the whole retention.
const newest = 100

// batches is the plan log's side of Temporal. Each call has a deadline of its own.
type batches struct {
	c         client.Client
	namespace string
	watches   *watches
	tracer    trace.Tracer
	log       *slog.Logger
}

var _ planlog.Temporal = (*batches)(nil)

// Start is the compare-and-swap: Temporal lets an ID exist once. With a
// conflict policy, an existing one would be no error.
func (l *batches) Start(ctx context.Context, b batch.Batch, again bool) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	ctx, span := l.tracer.Start(ctx, "plan", trace.WithAttributes(
		attribute.String("ingest.batch", b.ID()), attribute.String("ingest.topic", b.Topic), attribute.Int64("ingest.number", b.Number), attribute.Int64("ingest.offsets", b.Ranges.Len())))
	defer span.End()
	reuse := enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	if again {
		reuse = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
	}
	_, err := l.c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: b.ID(), TaskQueue: workflows.TaskQueue, WorkflowIDReusePolicy: reuse, WorkflowExecutionErrorWhenAlreadyStarted: true, StaticSummary: b.Summary(),
		TypedSearchAttributes: temporal.NewSearchAttributes(workflows.AttributeTopic.ValueSet(b.Topic), workflows.AttributeRecords.ValueSet(b.Ranges.Len())),
	}, kind(b), b)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return planlog.ErrExists
	}
	if err != nil {
		return fmt.Errorf("start batch %s: %w", b.ID(), err)
	}
	l.watches.forget(b.ID())
	return nil
}

// kind is the workflow of an entry. A worker that does not know the second leaves it
// alone, for one that does.
func kind(b batch.Batch) any {
	if len(b.Truncated) > 0 {
		return workflows.MakeWay
	}
	return workflows.Ingest
}

// Get describes the current run, which after an operator's reset is the new
// one, and reads the input from its first event.
func (l *batches) Get(ctx context.Context, id string) (b batch.Batch, s planlog.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	d, err := l.c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return b, s, notFound(id, err)
	}
	if err := l.input(ctx, d.GetWorkflowExecutionInfo().GetExecution(), &b); err != nil {
		return b, s, notFound(id, err)
	}
	return b, status(d.GetWorkflowExecutionInfo().GetStatus()), nil
}

// input reads what a workflow was started with.
func (l *batches) input(ctx context.Context, x *commonpb.WorkflowExecution, in any) error {
	h, err := l.c.WorkflowService().GetWorkflowExecutionHistory(ctx, &workflowservice.GetWorkflowExecutionHistoryRequest{Namespace: l.namespace, Execution: x, MaximumPageSize: 1})
	if err != nil {
		return err
	}
	events := h.GetHistory().GetEvents()
	if len(events) == 0 {
		return errors.New("it has no history")
	}
	if err := converter.GetDefaultDataConverter().FromPayloads(events[0].GetWorkflowExecutionStartedEventAttributes().GetInput(), in); err != nil {
		return fmt.Errorf("read its input: %w", err)
	}
	return nil
}

// Poll answers what a watch last observed.
func (l *batches) Poll(ctx context.Context, id string) (planlog.Status, batch.Outcome, error) {
	return l.watches.poll(ctx, id)
}

func status(s enumspb.WorkflowExecutionStatus) planlog.Status {
	switch s {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return planlog.Completed
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return planlog.Failed
	default: // paused and continued ones run too
		return planlog.Running
	}
}

func notFound(id string, err error) error {
	var nf *serviceerror.NotFound
	if errors.As(err, &nf) {
		return planlog.ErrNotFound
	}
	return fmt.Errorf("look at batch %s: %w", id, err)
}

// List asks visibility for all that run or were ended from outside, and one page
// of the newest. An earlier run of a batch may be listed in place of the last.
func (l *batches) List(ctx context.Context, prefix string) (map[int64]planlog.Status, error) {
	m := map[int64]planlog.Status{}
	q := fmt.Sprintf("WorkflowType IN ('Ingest', 'MakeWay') AND WorkflowId STARTS_WITH %q", prefix) // what operators start is under the prefix too
	if err := l.list(ctx, prefix, q+" AND ExecutionStatus NOT IN ('Completed', 'ContinuedAsNew')", 1000, true, m); err != nil {
		return nil, err
	}
	return m, l.list(ctx, prefix, q, newest, false, m)
}

func (l *batches) list(ctx context.Context, prefix, query string, size int32, all bool, into map[int64]planlog.Status) error {
	var page []byte
	for {
		r, err := l.page(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: l.namespace, PageSize: size, NextPageToken: page, Query: query})
		if err != nil {
			return fmt.Errorf("list batches: %w", err)
		}
		for _, x := range r.GetExecutions() {
			n, err := strconv.ParseInt(strings.TrimPrefix(x.GetExecution().GetWorkflowId(), prefix), 10, 64)
			if err != nil {
				continue // somebody else's workflow
			}
			if s, ok := into[n]; !ok || s != planlog.Running {
				into[n] = status(x.GetStatus())
			}
		}
		if page = r.GetNextPageToken(); !all || len(page) == 0 {
			return nil
		}
	}
}

func (l *batches) page(ctx context.Context, req *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return l.c.ListWorkflow(ctx, req)
}
