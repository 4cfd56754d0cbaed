package main

import (
	"context"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/ai-backlog/ingest/workflows"
)

// batchStates are what an unfinished batch may be in.
var batchStates = []string{"running", "waiting", "blocked", "held"}

// maxUnfinished is how many unfinished batches are listed: BATCH_WINDOW bounds them, 64 at most, for a topic that was created
// again a few times more.
const maxUnfinished = 1000

// quickly is how long a batch may take before it is asked whether it began in another run.
const quickly = time.Minute

// inState is how many batches of a topic are in a state, and when the first of them began.
type inState struct {
	count int
	first time.Time
}

// unfinished asks visibility for the unfinished batches of a topic.
type unfinished struct {
	*batches
	group, topic string
	starts       map[string]time.Time // by run: when its batch was started
}

// list is the batches by state.
func (u *unfinished) list(ctx context.Context) (map[string]inState, error) {
	r, err := u.page(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: u.namespace, PageSize: maxUnfinished,
		Query: fmt.Sprintf("WorkflowType IN ('Ingest', 'MakeWay') AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH %q", u.group+"/"+u.topic+"/"),
	})
	if err != nil {
		return nil, fmt.Errorf("list unfinished batches: %w", err)
	}
	out, starts := map[string]inState{}, map[string]time.Time{}
	for _, x := range r.GetExecutions() {
		state := stateOf(x.GetSearchAttributes().GetIndexedFields()[workflows.AttributeState.GetName()])
		start := x.GetStartTime().AsTime()
		if state != "running" || time.Since(start) > quickly {
			start = u.start(ctx, x, starts)
		}
		s := out[state]
		if s.count++; s.count == 1 || start.Before(s.first) {
			s.first = start
		}
		out[state] = s
	}
	u.starts = starts // of these only
	return out, nil
}

// start is when the batch was started, asked once of each run: a blocked one goes on in a new run every few hours.
func (u *unfinished) start(ctx context.Context, x *workflowpb.WorkflowExecutionInfo, starts map[string]time.Time) time.Time {
	id, run := x.GetExecution().GetWorkflowId(), x.GetExecution().GetRunId()
	start, ok := u.starts[run]
	if !ok {
		d, err := u.c.DescribeWorkflowExecution(ctx, id, run)
		if err != nil {
			return x.GetStartTime().AsTime()
		}
		start = began(ctx, u.c, d.GetWorkflowExecutionInfo())
	}
	starts[run] = start
	return start
}

// stateOf is what the batch's search attribute says. The good path sets none.
func stateOf(attribute *commonpb.Payload) (state string) {
	if attribute != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(attribute, &state) // of another type: as if it were not set
	}
	for _, s := range batchStates {
		if s == state {
			return s
		}
	}
	return "running"
}

// showUnfinished shows every state, with or without a batch in it.
func (r *readings) showUnfinished(topic string, found map[string]inState, now time.Time) {
	for _, state := range batchStates {
		age := 0.0
		if s := found[state]; s.count > 0 {
			age = max(0, now.Sub(s.first).Seconds())
		}
		r.unfinished.Set(float64(found[state].count), topic, state)
		r.age.Set(age, topic, state)
	}
}
