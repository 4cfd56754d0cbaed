package main

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/monitor"
	"github.com/ai-backlog/ingest/monitor/metricstest"
)

func TestTheTableOfMetricsIsWhatTheConsumerServes(t *testing.T) {
	metricstest.Check(t, "consumer", metricstest.Ours, func(reg prometheus.Registerer) {
		monitor.Build(reg, "consumer", "v1.2.3", "0123456789ab")
		newMetrics(reg, []string{"ai_backlog_logs"})
	})
}

func TestTheTableOfMetricsHasThoseOfTheKafkaClient(t *testing.T) {
	metricstest.Check(t, "kafka", "kafka_", func(reg prometheus.Registerer) {
		cl, err := kgo.NewClient(kafka.Metrics(reg))
		require.NoError(t, err)
		t.Cleanup(cl.Close)
	}, "kafka_read_time_seconds", "kafka_read_wait_seconds", "kafka_write_time_seconds", "kafka_write_wait_seconds", "kafka_produce_batches_total",
		"kafka_fetch_batches_total", "kafka_fetch_records_total", "kafka_fetch_compressed_bytes_total", "kafka_fetch_uncompressed_bytes_total")
}
