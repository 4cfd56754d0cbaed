package client

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-backlog/ingest/monitor/metricstest"
)

func TestTheTableOfMetricsIsWhatTheClientCollects(t *testing.T) {
	c := open(t, onlyKafka(brokers(t).ListenAddrs()))
	metricstest.Check(t, "client", metricstest.Ours, func(reg prometheus.Registerer) { reg.MustRegister(c) })
}
