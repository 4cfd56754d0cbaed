package rig

import (
	"context"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// Batch is what Temporal's UI lists of a batch.
type Batch struct {
	ID, Run, Status, State, Error string
	History                       int64 // events
}

// Find answers the batches that a visibility query finds, at most a thousand.
func (r *Rig) Find(ctx context.Context, query string) ([]Batch, error) {
	c, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	l, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", Query: query, PageSize: 1000})
	if err != nil {
		return nil, err
	}
	var out []Batch
	for _, e := range l.GetExecutions() {
		at := e.GetSearchAttributes().GetIndexedFields()
		out = append(out, Batch{
			ID: e.GetExecution().GetWorkflowId(), Run: e.GetExecution().GetRunId(), Status: e.GetStatus().String(),
			State: keyword(at["IngestState"]), Error: keyword(at["IngestError"]), History: e.GetHistoryLength(),
		})
	}
	return out, nil
}

func keyword(p *commonpb.Payload) (s string) {
	if p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &s) // another type: as if it were not set
	}
	return s
}

// Details is what the UI shows of how a batch stands.
func (r *Rig) Details(ctx context.Context, id string) (string, error) {
	c, err := r.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	v, err := c.QueryWorkflow(ctx, id, "", "__temporal_workflow_metadata")
	if err != nil {
		return "", err
	}
	var m sdkpb.WorkflowMetadata
	if err := v.Get(&m); err != nil {
		return "", err
	}
	return m.GetCurrentDetails(), nil
}

// AwaitState waits until an open batch is in the state with the error, and answers it.
func (r *Rig) AwaitState(ctx context.Context, state, name string) (b Batch, err error) {
	err = r.Until(ctx, fmt.Sprintf("wait for a batch that is %s with %s", state, name), func(ctx context.Context) (bool, string) {
		all, err := r.Find(ctx, `WorkflowType IN ("Ingest", "MakeWay") AND ExecutionStatus = "Running"`)
		for _, x := range all {
			if x.State == state && (name == "" || x.Error == name) {
				b = x
				return true, ""
			}
		}
		return false, fmt.Sprint(all, err)
	})
	return b, err
}

func (r *Rig) dial(ctx context.Context) (client.Client, error) {
	return client.DialContext(ctx, client.Options{HostPort: r.Temporal.Addr(), Logger: silent{}})
}
