package main

import (
	"context"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/ai-backlog/ingest/workflows"
)

// batchStates are what an unfinished batch may be in.
var batchStates = []string{"running", "waiting", "blocked", "held"}

// maxUnfinished is how many unfinished batches are listed: BATCH_WINDOW bounds them, 64 at most, for a topic that was created
// again a few times more.
const maxUnfinished = 1000

// standingOf is how many batches of a topic are in a state, and when the first of them began.
type standingOf struct {
	count int
	first time.Time
}

// unfinishedOf asks visibility for a topic's unfinished batches, by state.
func (l *batches) unfinishedOf(ctx context.Context, group, topic string) (map[string]standingOf, error) {
	r, err := l.page(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: l.namespace, PageSize: maxUnfinished,
		Query: fmt.Sprintf("WorkflowType IN ('Ingest', 'MakeWay') AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH %q", group+"/"+topic+"/"),
	})
	if err != nil {
		return nil, fmt.Errorf("list unfinished batches: %w", err)
	}
	out := map[string]standingOf{}
	for _, x := range r.GetExecutions() {
		state := stateOf(x.GetSearchAttributes().GetIndexedFields()[workflows.AttributeState.GetName()])
		began := x.GetStartTime().AsTime()
		s := out[state]
		if s.count++; s.count == 1 || began.Before(s.first) {
			s.first = began
		}
		out[state] = s
	}
	return out, nil
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
func (r *readings) showUnfinished(topic string, found map[string]standingOf, now time.Time) {
	for _, state := range batchStates {
		age := 0.0
		if s := found[state]; s.count > 0 {
			age = max(0, now.Sub(s.first).Seconds())
		}
		r.unfinished.Set(float64(found[state].count), topic, state)
		r.age.Set(age, topic, state)
	}
}
