package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-backlog/ingest/monitor"
)

// How often is asked, one light request each. An answer is shown for three times as long and then no more.
const (
	batchesEvery   = 10 * time.Second
	groupEvery     = 15 * time.Second
	auditsEvery    = 15 * time.Second
	retentionEvery = time.Minute
)

// readings are what Kafka and Temporal are asked for beside planning, by goroutines of their own: none of them can delay a round.
type readings struct {
	retention, sizeLimit, unfinished, age, audited, clean *monitor.Reading // of topics
	remembered                                            *monitor.Reading
}

func newReadings(reg prometheus.Registerer) *readings {
	return &readings{
		retention:  monitor.NewReading(reg, 3*retentionEvery, "ingest_topic_retention_seconds", "The topic's retention.ms; +Inf if Kafka keeps records for ever.", "topic"),
		sizeLimit:  monitor.NewReading(reg, 3*retentionEvery, "ingest_topic_retention_bytes", "The topic's retention.bytes, which is each partition's; +Inf if Kafka does not delete by size.", "topic"),
		unfinished: monitor.NewReading(reg, 3*batchesEvery, "ingest_batches", "Unfinished batches by state, as Temporal's visibility has them: waiting (for a server), blocked or held (for an operator), or running, isolating bad rows included.", "topic", "state"),
		age:        monitor.NewReading(reg, 3*batchesEvery, "ingest_oldest_batch_age_seconds", "Age of the oldest unfinished batch in the state, since its start; 0 if there is none.", "topic", "state"),
		audited:    monitor.NewReading(reg, 3*auditsEvery, "ingest_audit_last_timestamp_seconds", "When the newest audit of the whole topic that Temporal knows ended, in Unix time; absent if there is none.", "topic"),
		clean:      monitor.NewReading(reg, 3*auditsEvery, "ingest_audit_clean", "1 if that audit was clean, 0 if it was not or could not tell; absent if there is none.", "topic"),
		remembered: monitor.NewReading(reg, 3*retentionEvery, "ingest_retention_temporal_seconds", "For how long Temporal keeps closed workflows: the retention of its namespace."),
	}
}

// forget shows nothing of a topic that is planned elsewhere.
func (r *readings) forget(topic string) {
	for _, g := range []*monitor.Reading{r.retention, r.sizeLimit, r.unfinished, r.age, r.audited, r.clean} {
		g.Forget(topic)
	}
}
