package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/monitor"
	"github.com/ai-backlog/ingest/settings"
	"github.com/ai-backlog/ingest/vitals"
	"github.com/ai-backlog/ingest/workflows"
)

// run wires everything by hand and works until ctx ends.
func run(ctx context.Context, cfg Config) error {
	logger := monitor.Logger(cfg.LogLevel)
	slog.SetDefault(logger)
	useMemory(cfg)
	release, commit := settings.Version()
	reg := monitor.Registry("worker", release, commit)
	var working atomic.Bool
	ready := func() error {
		if !working.Load() {
			return errors.New("not connected to everything yet")
		}
		return nil
	}
	if err := monitor.Serve(ctx, cfg.MetricsAddr, reg, ready); err != nil {
		return err
	}
	s, err := open(cfg, kafka.Metrics(reg))
	defer s.close()
	if err != nil {
		return err
	}
	m := activities.NewMetrics(reg, cfg.Topics.Names())
	_, stopTracing, err := monitor.Instrument(ctx, "worker", &cfg.Temporal, cfg.Tracing, reg, logger)
	if err != nil {
		return err
	}
	defer stopTracing()
	cfg.Temporal.MetricsHandler = m.Decisions(cfg.Temporal.MetricsHandler)
	defer readVitals(ctx, logger, cfg, reg)()
	temporal, err := prepare(ctx, logger, cfg, s)
	if err != nil {
		return monitor.Stopped(ctx, err)
	}
	defer temporal.Close()
	a := &activities.Activities{
		Temporal: temporal, Batches: temporal, Reader: kafka.NewReader(s.broker), Producer: s.broker, Looker: s.looker, Inserter: s.inserter,
		Killer: s.killer, Queries: s.queries, Kinds: cfg.Topics.Kinds(),
		LetterTopics: activities.LetterTopics{Partitions: cfg.LetterPartitions, Retention: cfg.LetterRetention}, Metrics: m,
	}
	workers, err := startAll(ctx, logger, cfg, temporal, a)
	defer func() { stopAll(workers) }()
	if err != nil {
		return monitor.Stopped(ctx, err)
	}
	working.Store(true)
	logger.Info("worker is ready", "task_queue", workflows.TaskQueue, "topics", cfg.Topics.Names(), "inserts", cfg.InsertsAt)
	<-ctx.Done()
	working.Store(false)
	logger.Info("worker stops")
	return nil
}

func useMemory(cfg Config) {
	debug.SetMemoryLimit(cfg.MemoryLimit << 20)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // up to the limit memory is there to be used: a tenth of the worker's CPU less
	}
}

// readVitals shows how ClickHouse fares, beside all that the worker does and apart from it; what it returns waits for its end.
func readVitals(ctx context.Context, logger *slog.Logger, cfg Config, reg prometheus.Registerer) (stop func()) {
	if !cfg.ClickHouseMetrics {
		return func() {}
	}
	v := vitals.New(cfg.ClickHouse, reg, logger)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := v.Run(ctx); err != nil {
			logger.Warn("clickhouse is not read for metrics", "error", err)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// startAll starts what works on batches, and what works on operators' workflows. Those that it started come with an error, too.
func startAll(ctx context.Context, logger *slog.Logger, cfg Config, temporal client.Client, a *activities.Activities) (workers []worker.Worker, err error) {
	cut := cutAfter(ctx)
	for _, fresh := range []func() worker.Worker{
		func() worker.Worker { return newWorker(temporal, cfg, a, cut) },
		func() worker.Worker { return newOperations(temporal, a, cut) },
	} {
		w, err := start(ctx, logger, cfg.Temporal, fresh)
		if err != nil {
			return workers, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// servers are the connections to Kafka and ClickHouse; each connects when it is
// first used.
type servers struct {
	broker   *kgo.Client
	queries  driver.Conn
	looker   *clickhouse.Looker
	inserter *clickhouse.Inserter
	killer   *clickhouse.Killer
}

func open(cfg Config, more ...kgo.Opt) (s servers, err error) {
	if s.queries, err = clickhouse.Open(cfg.ClickHouse); err != nil {
		return s, err
	}
	if s.looker, err = clickhouse.LookerOf(cfg.ClickHouse, s.queries); err != nil {
		return s, err
	}
	if s.killer, err = clickhouse.NewKiller(cfg.ClickHouse); err != nil {
		return s, err
	}
	s.inserter = clickhouse.NewInserter(cfg.ClickHouse)
	opts, err := cfg.Kafka.Options()
	if err != nil {
		return s, err
	}
	s.broker, err = kgo.NewClient(slices.Concat(opts, activities.ProducerOptions(), more)...)
	return s, err
}

func (s servers) close() {
	if s.broker != nil {
		s.broker.Close()
	}
	if s.inserter != nil {
		_ = s.inserter.Close()
	}
	if s.killer != nil {
		_ = s.killer.Close()
	}
	if s.looker != nil {
		_ = s.looker.Close()
	}
	if s.queries != nil {
		_ = s.queries.Close()
	}
}

// prepare waits for every server, applies the schema, and tells what would
// break the promise.
func prepare(ctx context.Context, logger *slog.Logger, cfg Config, s servers) (client.Client, error) {
	if err := prepareClickHouse(ctx, logger, s.queries, cfg); err != nil {
		return nil, err
	}
	if err := checkKafka(ctx, logger, s.broker, cfg.Topics.Names(), cfg.Kafka); err != nil {
		return nil, err
	}
	cfg.Temporal.Logger = log.NewStructuredLogger(logger)
	return prepareTemporal(ctx, logger, cfg.Temporal)
}

func newWorker(c client.Client, cfg Config, a *activities.Activities, cut <-chan struct{}) worker.Worker {
	w := worker.New(c, workflows.TaskQueue, options(a, cfg.InsertsAt, cut)) // memory is bounded by it
	w.RegisterWorkflow(workflows.Ingest)
	w.RegisterWorkflow(workflows.MakeWay)
	w.RegisterActivity(a)
	return w
}

// operationsAt is how many activities of operators' workflows run at once: few,
// since batches come first.
const operationsAt = 4

// newOperations works on what operators started.
func newOperations(c client.Client, a *activities.Activities, cut <-chan struct{}) worker.Worker {
	w := worker.New(c, workflows.OperationsQueue, options(a, operationsAt, cut))
	w.RegisterWorkflow(workflows.Redrive)
	w.RegisterWorkflow(workflows.Replay)
	w.RegisterWorkflow(workflows.Audit)
	w.RegisterWorkflow(workflows.Resume)
	w.RegisterActivity(a)
	return w
}
