package client

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

func TestTheCollectorTellsWhatBecameOfRecords(t *testing.T) {
	c := open(t, onlyKafka(brokers(t).ListenAddrs()))
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	n, err := testutil.GatherAndCount(reg, "ingest_client_records_total")
	require.NoError(t, err)
	require.Equal(t, 6*len(record.Kinds()), n, "counters are there, at 0, before the first record")
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)

	ctx := within(t, 20*time.Second)
	require.NoError(t, c.StoreLogs(ctx, []Log{{Level: "INFO"}, {Level: "WARN"}}))
	require.NoError(t, c.StoreMetric(ctx, Metric{Name: "m"}))
	var invalid *InvalidError
	require.ErrorAs(t, c.StoreEvent(ctx, Event{}), &invalid)
	require.Equal(t, InvalidError{Kind: record.Event, Field: "type", Reason: record.MissingField}, *invalid)
	var large *TooLargeError
	require.ErrorAs(t, c.StoreLog(ctx, Log{Level: "INFO", Message: strings.Repeat("x", 2_000_000)}), &large)
	require.Greater(t, large.Size, 2_000_000)
	require.NoError(t, c.Flush(ctx))
	require.Equal(t, Stats{Sent: 3, Refused: 2}, c.Stats())
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP ingest_client_buffered_records Records that are accepted and stored nowhere yet.
# TYPE ingest_client_buffered_records gauge
ingest_client_buffered_records 0
# HELP ingest_client_direct 1 while records of the kind go straight to ClickHouse, because Kafka does not answer.
# TYPE ingest_client_direct gauge
ingest_client_direct{kind="event"} 0
ingest_client_direct{kind="log"} 0
ingest_client_direct{kind="metric"} 0
`), "ingest_client_buffered_records", "ingest_client_direct"))
	for label, want := range map[[2]string]float64{{"log", "kafka"}: 2, {"metric", "kafka"}: 1, {"event", "invalid"}: 1, {"log", "too_large"}: 1, {"log", "direct"}: 0} {
		require.InDelta(t, want, counter(t, reg, label[0], label[1]), 0, "%v", label)
	}
}

func counter(t *testing.T, reg *prometheus.Registry, kind, became string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "ingest_client_records_total" && labels["kind"] == kind && labels["became"] == became {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no counter of %s %s", kind, became)
	return 0
}
