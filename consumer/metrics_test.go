package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/planlog"
)

func TestMetricsCountOffsetsByWhereTheyEnded(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := newMetrics(reg, []string{"logs"})
	require.Equal(t, 6, testutil.CollectAndCount(m.completed), "they start at 0")
	o := m.observer("logs", func(string) (time.Duration, bool) { return 3 * time.Second, true })
	o.Planned(batch.Batch{Ranges: batch.Ranges{{First: 0, Last: 9}}})
	o.Completed(batch.Batch{}, batch.Outcome{Offsets: 12, Stored: 6, DeadLettered: 3, Present: 1, Holes: 2, Bytes: 5000})
	require.InDelta(t, 10, testutil.ToFloat64(m.offsets), 0)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP ingest_completed_offsets_total Offsets of completed batches, by where they ended.
# TYPE ingest_completed_offsets_total counter
ingest_completed_offsets_total{place="dead_letters",topic="logs"} 3
ingest_completed_offsets_total{place="hole",topic="logs"} 2
ingest_completed_offsets_total{place="lost",topic="logs"} 0
ingest_completed_offsets_total{place="present",topic="logs"} 1
ingest_completed_offsets_total{place="skipped",topic="logs"} 0
ingest_completed_offsets_total{place="stored",topic="logs"} 6
`), "ingest_completed_offsets_total"))
	for name, want := range map[string]float64{"ingest_batch_records": 10, "ingest_batch_bytes": 5000, "ingest_batch_seconds": 3} {
		require.InDelta(t, want, sum(t, reg, name), 0, name)
	}
}

// Workers of versions before count dead letters that were redriven while the batch was open as fewer than none.
func TestBooksBelowNothingDoNotEndThePlanning(t *testing.T) {
	m := newMetrics(prometheus.NewPedanticRegistry(), []string{"logs"})
	o := m.observer("logs", func(string) (time.Duration, bool) { return 0, false })
	require.NotPanics(t, func() {
		o.Completed(batch.Batch{}, batch.Outcome{Offsets: 10, Stored: 10, Present: 2, DeadLettered: -2})
	})
	require.InDelta(t, 10, testutil.ToFloat64(m.completed.WithLabelValues("logs", "stored")), 0)
	require.Zero(t, testutil.ToFloat64(m.completed.WithLabelValues("logs", "dead_letters")))
}

// sum is of what a histogram has observed.
func sum(t *testing.T, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetHistogram().GetSampleSum()
		}
	}
	t.Fatalf("no histogram %s", name)
	return 0
}

func TestWhoDoesNotPlanATopicShowsNothingOfIt(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := newMetrics(reg, []string{"logs"})
	ofPlanner := []string{
		"ingest_log_start_offset", "ingest_log_end_offset", "ingest_low_watermark_offset", "ingest_planned_offset", "ingest_lag_offsets",
		"ingest_unplanned_offsets", "ingest_lag_seconds", "ingest_topic_stopped", "ingest_topic_retention_seconds", "ingest_topic_retention_bytes", "ingest_batches", "ingest_oldest_batch_age_seconds",
		"ingest_audit_last_timestamp_seconds", "ingest_audit_clean",
	}
	shown := func() int {
		n, err := testutil.GatherAndCount(reg, ofPlanner...)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, shown())
	one := func() map[int32]int64 { return map[int32]int64{0: 1} }
	fill := func() {
		m.show("logs", planlog.Snapshot{Looked: time.Now(), Start: one(), End: one(), Low: one(), Next: one(), Unplanned: one()}, time.Millisecond, nil)
		for _, a := range []int64{1, 2} {
			m.while("logs", a, func() {
				m.retention.Set(1, "logs")
				m.sizeLimit.Set(1, "logs")
				m.showUnfinished("logs", nil, time.Now())
				m.audited.Set(1, "logs")
				m.clean.Set(1, "logs")
			})
		}
	}
	m.owns("logs", 1)
	fill()
	require.Equal(t, len(ofPlanner)+2*(len(batchStates)-1), shown())
	m.owns("logs", 0)
	require.Zero(t, shown())
	m.while("logs", 1, func() { m.retention.Set(1, "logs") })
	require.Zero(t, shown(), "an answer that comes after the assignment is over")
	require.Zero(t, testutil.ToFloat64(m.owner))
}

func TestATopicIsShownStoppedUntilARoundSaysOtherwise(t *testing.T) {
	m := newMetrics(prometheus.NewPedanticRegistry(), []string{"logs"})
	require.Zero(t, testutil.CollectAndCount(m.stopped))
	m.owns("logs", 1)
	for _, round := range []struct {
		err  error
		want float64
	}{{errors.New("no answer"), 0}, {fmt.Errorf("partition 0: %w", planlog.ErrTruncated), 1}, {errors.New("no answer"), 1}, {nil, 0}} {
		m.show("logs", planlog.Snapshot{}, time.Millisecond, round.err)
		require.InDelta(t, round.want, testutil.ToFloat64(m.stopped), 0, "%v", round.err)
	}
}
