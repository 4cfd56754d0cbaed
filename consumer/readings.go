package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/monitor"
)

// How often is asked, one light request each. An answer is shown for three times as long and then no more.
const (
	batchesEvery   = 10 * time.Second
	groupEvery     = 15 * time.Second
	auditsEvery    = 30 * time.Second
	retentionEvery = time.Minute
)

// readings are what Kafka and Temporal are asked for beside planning, by goroutines of their own: none of them can delay a round.
type readings struct {
	retention, unfinished, age, audited, clean *monitor.Reading // of topics
	remembered                                 *monitor.Reading
}

func newReadings(reg prometheus.Registerer) *readings {
	return &readings{
		retention:  monitor.NewReading(reg, 3*retentionEvery, "ingest_topic_retention_seconds", "The topic's retention.ms; +Inf if Kafka keeps records for ever.", "topic"),
		unfinished: monitor.NewReading(reg, 3*batchesEvery, "ingest_batches", "Unfinished batches by state, as Temporal's visibility has them; running includes those that isolate bad rows.", "topic", "state"),
		age:        monitor.NewReading(reg, 3*batchesEvery, "ingest_oldest_batch_age_seconds", "Age of the oldest unfinished batch in the state, since its start; 0 if there is none.", "topic", "state"),
		audited:    monitor.NewReading(reg, 3*auditsEvery, "ingest_audit_last_timestamp_seconds", "When the newest audit of the topic that Temporal knows ended, in Unix time; absent if there is none.", "topic"),
		clean:      monitor.NewReading(reg, 3*auditsEvery, "ingest_audit_clean", "1 if that audit was clean, 0 if it was not or could not tell; absent if there is none.", "topic"),
		remembered: monitor.NewReading(reg, 3*retentionEvery, "ingest_retention_temporal_seconds", "For how long Temporal keeps closed workflows: the retention of its namespace."),
	}
}

// forget shows nothing of a topic that is planned elsewhere.
func (r *readings) forget(topic string) {
	for _, g := range []*monitor.Reading{r.retention, r.unfinished, r.age, r.audited, r.clean} {
		g.Forget(topic)
	}
}

// reader asks again and again. An error ends nothing: what was not read is not shown for long.
type reader struct {
	log   *slog.Logger
	what  string
	every time.Duration
	read  func(context.Context) error

	denied bool
}

func (r *reader) run(ctx context.Context) {
	t := time.NewTicker(r.every)
	defer t.Stop()
	for {
		r.once(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// once asks. That a server is away is told by the planning; that a right is missing is nobody's to tell but this, once.
func (r *reader) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	err := r.read(ctx)
	switch {
	case err == nil || ctx.Err() != nil:
	case kafka.IsAuth(err) && !r.denied:
		r.denied = true
		r.log.Warn("metric is not shown", "metric", r.what, "error", err)
	default:
		r.log.Debug("metric was not read", "metric", r.what, "error", err)
	}
}
