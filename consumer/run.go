package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kslog"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/ai-backlog/ingest/frontend"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/monitor"
	"github.com/ai-backlog/ingest/settings"
	"github.com/ai-backlog/ingest/workflows"
)

// retentionAdvised is how long Temporal should remember closed batches: an
// operator's weekend.
const retentionAdvised = 72 * time.Hour

// run wires everything by hand and plans until ctx ends.
func run(ctx context.Context, cfg Config) error {
	logger := monitor.Logger(cfg.LogLevel)
	slog.SetDefault(logger)
	release, commit := settings.Version()
	reg := monitor.Registry("consumer", release, commit)
	m := newMetrics(reg, cfg.Topics.Names())
	var working atomic.Bool
	if err := monitor.Serve(ctx, cfg.MetricsAddr, reg, func() error {
		if !working.Load() {
			return errors.New("not connected to everything yet")
		}
		return nil
	}); err != nil {
		return err
	}
	tracers, stopTracing, err := monitor.Instrument(ctx, "consumer", &cfg.Temporal, cfg.Tracing, reg, logger)
	if err != nil {
		return err
	}
	defer stopTracing()
	cfg.Temporal.Logger = sdklog.NewStructuredLogger(logger)
	temporal, retention, err := connect(ctx, logger, cfg.Temporal)
	if err != nil {
		return monitor.Stopped(ctx, err)
	}
	defer temporal.Close()
	if retention < retentionAdvised {
		logger.Warn("the promise is at risk", "problem", fmt.Sprintf("Temporal keeps closed workflows for %s only: give namespace %s a retention of %s or more", retention, namespace(cfg.Temporal), retentionAdvised))
	}
	// Only now, since a member that cannot start batches would take topics from one that can.
	member, err := kafka.Join(cfg.Kafka, cfg.SessionTimeout, cfg.Topics.Names(), append(clientLog(ctx, logger), kafka.Metrics(reg))...)
	if err != nil {
		return err
	}
	defer member.Client.Close()
	what := fmt.Sprintf("Kafka at %s (KAFKA_SERVERS)", strings.Join(cfg.Kafka.Servers, ", "))
	ping := func(ctx context.Context) error { return kafka.Hint(member.Client.Ping(ctx)) }
	if err := monitor.Await(ctx, logger, what, ping, kafka.IsAuth); err != nil {
		return monitor.Stopped(ctx, err)
	}
	plans := &batches{c: temporal, namespace: namespace(cfg.Temporal), watches: newWatches(ctx, temporal), tracer: tracers.Tracer("github.com/ai-backlog/ingest/consumer"), log: logger}
	working.Store(true)
	logger.Info("consumer is ready", "topics", cfg.Topics.Names(), "group", cfg.Kafka.GroupID)
	err = work(ctx, &asking{cfg: cfg, member: member, temporal: plans, metrics: m, log: logger}, retention)
	logger.Info("consumer stopped")
	return err
}

// work plans every topic, and asks for what is shown beside it, until ctx ends or a planning cannot go on. Then the member leaves
// the group: nothing is started any more.
func work(ctx context.Context, a *asking, retention time.Duration) error {
	asked := ctx // to stop, by whoever started the program
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	wg.Go(func() { a.member.Renew(ctx) })
	a.metrics.member.of.Store(a.member)
	for _, r := range a.readers() {
		wg.Go(func() { r.Run(ctx) })
	}
	for _, t := range a.cfg.Topics.Names() {
		wg.Go(func() { newLookout(a.member.Client, t, a.metrics.positions, a.log).run(ctx) })
		p := &planning{cfg: a.cfg, name: t, member: a.member, temporal: a.temporal, retention: retention, lasted: a.temporal.watches.lasted, metrics: a.metrics, log: a.log}
		wg.Go(func() {
			if err := p.run(ctx); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	return monitor.Stopped(asked, context.Cause(ctx))
}

// clientLog lets franz-go say what it does when everything is to be seen. What
// matters of it is told once by the planning, not at each of its retries.
func clientLog(ctx context.Context, log *slog.Logger) []kgo.Opt {
	if !log.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	return []kgo.Opt{kgo.WithLogger(kslog.New(log))}
}

func namespace(o client.Options) string {
	if o.Namespace == "" {
		return client.DefaultNamespace
	}
	return o.Namespace
}

// connect waits for Temporal and for the search attributes, without which a
// batch cannot be started: the worker registers them.
func connect(ctx context.Context, log *slog.Logger, o client.Options) (c client.Client, retention time.Duration, err error) {
	address := o.HostPort
	if address == "" {
		address = client.DefaultHostPort
	}
	what := fmt.Sprintf("Temporal at %s, namespace %s (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE)", address, namespace(o))
	err = monitor.Await(ctx, log, what, func(ctx context.Context) error {
		if c == nil {
			if c, err = client.DialContext(ctx, o); err != nil {
				c = nil
				return frontend.Hint(err)
			}
		}
		d, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace(o)})
		if err != nil {
			return frontend.Hint(err)
		}
		retention = d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
		have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace(o)})
		if err != nil {
			return frontend.Hint(err)
		}
		for _, a := range []string{workflows.AttributeTopic.GetName(), workflows.AttributeRecords.GetName()} {
			if _, ok := have.GetCustomAttributes()[a]; !ok {
				return fmt.Errorf("search attribute %s is missing: start a worker, which registers it", a)
			}
		}
		return nil
	}, frontend.Refused)
	return c, retention, err
}
