package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/monitor"
)

// asking is who asks for what planning does not learn by itself.
type asking struct {
	cfg      Config
	member   *kafka.Member
	temporal *batches
	metrics  *metrics
	log      *slog.Logger
}

// readers are all of them, each for a goroutine of its own. Those of a topic ask nothing while it is planned elsewhere.
func (a *asking) readers() []*monitor.Reader {
	reader := func(what string, every time.Duration, read func(context.Context) error) *monitor.Reader {
		return &monitor.Reader{Log: a.log, What: what, Every: every, Limit: callLimit, Read: read, Refused: kafka.IsDenied}
	}
	group := reader("ingest_group_members", groupEvery, func(ctx context.Context) error { return a.metrics.member.read(ctx, a.member, a.cfg.Kafka.GroupID) })
	group.Refused = nil // the planning says which right to the group is missing
	rs := []*monitor.Reader{group, reader("ingest_retention_temporal_seconds", retentionEvery, a.remembered)}
	for _, t := range a.cfg.Topics.Names() {
		rs = append(rs,
			reader("ingest_topic_retention_seconds", retentionEvery, a.owned(t, a.retention(t))),
			reader("ingest_batches", batchesEvery, a.owned(t, a.unfinished(t))),
			reader("ingest_audit_clean", auditsEvery, a.owned(t, a.audits(t))))
	}
	return rs
}

// owned asks only while the topic is planned here, and shows the answer only if it still is.
func (a *asking) owned(topic string, ask func(context.Context) (show func(), err error)) func(context.Context) error {
	return func(ctx context.Context) error {
		assignment := a.member.Holds(topic)
		if assignment == 0 {
			return monitor.ErrNotYet
		}
		show, err := ask(ctx)
		if err == nil {
			a.metrics.while(topic, assignment, show)
		}
		return err
	}
}

func (a *asking) retention(topic string) func(context.Context) (func(), error) {
	return func(ctx context.Context) (func(), error) {
		seconds, bytes, err := kafka.Retention(ctx, a.member.Client, topic)
		return func() {
			a.metrics.retention.Set(seconds, topic)
			a.metrics.sizeLimit.Set(bytes, topic)
		}, err
	}
}

func (a *asking) unfinished(topic string) func(context.Context) (func(), error) {
	u := &unfinished{batches: a.temporal, group: a.cfg.Kafka.GroupID, topic: topic}
	return func(ctx context.Context) (func(), error) {
		found, err := u.list(ctx)
		return func() { a.metrics.showUnfinished(topic, found, time.Now()) }, err
	}
}

// audits remembers the last one.
func (a *asking) audits(topic string) func(context.Context) (func(), error) {
	var last audited
	return func(ctx context.Context) (func(), error) {
		newest, err := a.temporal.newestAudit(ctx, a.cfg.Kafka.GroupID, topic, last)
		last = newest
		return func() { a.metrics.showAudit(topic, newest) }, err
	}
}

func (a *asking) remembered(ctx context.Context) error {
	d, err := a.temporal.c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: a.temporal.namespace})
	if err != nil {
		return fmt.Errorf("describe namespace %s: %w", a.temporal.namespace, err)
	}
	a.metrics.remembered.Set(d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration().Seconds())
	return nil
}
