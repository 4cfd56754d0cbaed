package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/ai-backlog/ingest/workflows"
)

// audited is how the newest audit of all of a topic ended.
type audited struct {
	run   string // "": there was none
	at    time.Time
	clean bool
	parts map[string]bool // runs that ended after it, and were of a part of the topic
}

// auditsListed is among how many audits that ended last one of the whole topic is looked for: operators look at parts by the dozen
// when something is wrong.
const auditsListed = 50

// newestAudit is the one of the whole topic that ended last, whoever asked for it, of all that Temporal still knows. One of a part
// says nothing of the rest, and one that was ended from outside has no result: neither counts. Its result is read from its last event,
// and only if it is another than the last; what was seen to be of a part is not read again.
func (l *batches) newestAudit(ctx context.Context, group, topic string, last audited) (audited, error) {
	r, err := l.page(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: l.namespace, PageSize: auditsListed, // visibility answers what ended last first
		Query: fmt.Sprintf("WorkflowType = 'Audit' AND ExecutionStatus = 'Completed' AND WorkflowId STARTS_WITH %q", group+"/"+topic+"/"),
	})
	if err != nil {
		return last, fmt.Errorf("list audits: %w", err)
	}
	parts := map[string]bool{}
	for _, x := range r.GetExecutions() {
		id, run := x.GetExecution().GetWorkflowId(), x.GetExecution().GetRunId()
		if run == last.run {
			last.parts = parts
			return last, nil
		}
		if !last.parts[run] {
			var in workflows.AuditInput
			if err := l.input(ctx, x.GetExecution(), &in); err != nil {
				return last, fmt.Errorf("read what audit %s was of: %w", id, err)
			}
			if len(in.Ranges) == 0 {
				var o workflows.AuditOutcome
				if err := l.c.GetWorkflow(ctx, id, run).Get(ctx, &o); err != nil {
					return last, fmt.Errorf("read the result of audit %s: %w", id, err)
				}
				return audited{run: run, at: x.GetCloseTime().AsTime(), clean: o.Verdict() == "clean", parts: parts}, nil
			}
		}
		parts[run] = true
	}
	return audited{parts: parts}, nil
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
