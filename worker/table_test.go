package main

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/monitor"
	"github.com/ai-backlog/ingest/monitor/metricstest"
	"github.com/ai-backlog/ingest/vitals"
)

func TestTheTableOfMetricsIsWhatTheWorkerServes(t *testing.T) {
	metricstest.Check(t, "worker", metricstest.Ours, func(reg prometheus.Registerer) {
		monitor.Build(reg, "worker", "v1.2.3", "0123456789ab")
		activities.NewMetrics(reg, []string{"ai_backlog_logs"})
		vitals.New(clickhouse.Config{}, reg, slog.New(slog.DiscardHandler))
	})
}
