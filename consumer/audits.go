package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/ai-backlog/ingest/workflows"
)

// audited is how a topic's newest audit ended.
type audited struct {
	run   string // "": there was none
	at    time.Time
	clean bool
}

// newestAudit is the one that ended last, whoever asked for it, of all that Temporal still knows. One that was ended from outside
// has no result, and does not count. Its result is read from its last event, and only if it is another than the last.
func (l *batches) newestAudit(ctx context.Context, group, topic string, last audited) (audited, error) {
	r, err := l.page(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: l.namespace, PageSize: 1, // visibility answers what ended last first
		Query: fmt.Sprintf("WorkflowType = 'Audit' AND ExecutionStatus = 'Completed' AND WorkflowId STARTS_WITH %q", group+"/"+topic+"/"),
	})
	if err != nil {
		return last, fmt.Errorf("list audits: %w", err)
	}
	if len(r.GetExecutions()) == 0 {
		return audited{}, nil
	}
	x := r.GetExecutions()[0]
	id, run := x.GetExecution().GetWorkflowId(), x.GetExecution().GetRunId()
	if run == last.run {
		return last, nil
	}
	var o workflows.AuditOutcome
	if err := l.c.GetWorkflow(ctx, id, run).Get(ctx, &o); err != nil {
		return last, fmt.Errorf("read the result of audit %s: %w", id, err)
	}
	return audited{run: run, at: x.GetCloseTime().AsTime(), clean: o.Verdict() == "clean"}, nil
}

// showAudit shows nothing where there is no audit.
func (r *readings) showAudit(topic string, a audited) {
	if a.run == "" {
		r.audited.Forget(topic)
		r.clean.Forget(topic)
		return
	}
	r.audited.Set(float64(a.at.UnixMilli())/1000, topic)
	r.clean.Set(map[bool]float64{true: 1}[a.clean], topic)
}
