package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// watched starts a consumer that serves metrics.
func (s *scene) watched() *rig.Process {
	s.t.Helper()
	p, err := s.Consumer(rig.MetricsAnywhere)
	require.NoError(s.t, err)
	return p
}

// patience is for how long a test waits for what is served to be as it will be, on a machine that has other things to do.
const patience = 5 * time.Minute

// shows waits until what a program serves is as wanted.
func (s *scene) shows(p *rig.Process, what string, is func(rig.Metrics) bool) rig.Metrics {
	s.t.Helper()
	var m rig.Metrics
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	err := s.Until(ctx, what, func(ctx context.Context) (bool, string) {
		var err error
		m, err = p.Metrics(ctx)
		return err == nil && is(m), fmt.Sprint(err)
	})
	if err != nil {
		for series, v := range m {
			s.t.Log(series, v)
		}
	}
	require.NoError(s.t, err)
	return m
}

// idle tells whether all that was sent has a place, by what is served.
func (s *scene) idle(m rig.Metrics) bool {
	return m.Sum("ingest_planner") == 3 && m.Count("ingest_lag_offsets") == 12 && m.Sum("ingest_low_watermark_offset") == float64(s.sent.Good.Load()+s.sent.Broken.Load()) &&
		m.Sum("ingest_lag_offsets") == 0 && m.Max("ingest_lag_seconds") == 0 && m.Sum("ingest_open_batches") == 0 &&
		m.Count("ingest_batches") == 12 && m.Sum("ingest_batches") == 0 && m.Max("ingest_oldest_batch_age_seconds") == 0
}

// Each gauge of the consumer is true once: in quiet, while ClickHouse is away, when another consumer takes over, and afterwards.
func TestMetricsTellAnOutageATakeoverAndTheirEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.consumer.Stop()
	first := s.watched()
	sent := time.Now()
	s.send(20_000)
	all := float64(s.sent.Good.Load() + s.sent.Broken.Load())
	m := s.shows(first, "all is stored", s.idle)
	require.InDelta(t, all, m.Sum("ingest_log_end_offset")-m.Sum("ingest_log_start_offset"), 0)
	require.InDelta(t, all, m.Sum("ingest_planned_offset"), 0)
	require.Zero(t, m.Sum("ingest_unplanned_offsets"))
	require.InDelta(t, all, m.Sum("ingest_completed_offsets_total"), 0)
	require.InDelta(t, all, m.Sum("ingest_batch_records_sum"), 0)
	require.InDelta(t, m.Sum("ingest_planned_batches_total"), m.Sum("ingest_batch_seconds_count"), 0)
	mean := m.Sum("ingest_batch_seconds_sum") / m.Sum("ingest_batch_seconds_count")
	require.Positive(t, mean)
	require.Less(t, mean, time.Since(sent).Seconds(), "a batch began after its records were sent, and has ended")
	require.Positive(t, m.Sum("ingest_batch_bytes_sum"))
	require.Equal(t, 3, m.Count("ingest_topic_stopped"))
	require.Zero(t, m.Sum("ingest_topic_stopped"))
	m = s.shows(first, "what is asked for now and then", func(m rig.Metrics) bool {
		return m.Count("ingest_topic_retention_seconds") == 3 && m.Sum("ingest_group_members") == 1 && m.Sum("ingest_group_state", `state="Stable"`) == 1
	})
	require.InDelta(t, 1, m.Sum("ingest_group_state"), 0)
	require.InDelta(t, (7 * 24 * time.Hour).Seconds(), m.Sum("ingest_retention_temporal_seconds"), 0)
	require.Positive(t, m.Sum("ingest_topic_retention_seconds"))
	require.GreaterOrEqual(t, m.Sum("ingest_rebalances_total"), 1.0)
	require.InDelta(t, time.Now().Unix(), m.Sum("ingest_last_rebalance_timestamp_seconds"), 120)
	require.Equal(t, 1, m.Count("ingest_build_info", `program="consumer"`))
	require.Positive(t, m.Sum("kafka_request_duration_e2e_seconds_count"))
	require.Zero(t, m.Count("ingest_audit_clean"), "there was none")

	require.NoError(t, s.ClickHouse.Kill())
	began := time.Now()
	s.send(5_000)
	m = s.shows(first, "an outage", func(m rig.Metrics) bool {
		return m.Sum("ingest_lag_offsets") >= 5_000 && m.Max("ingest_lag_seconds") > 10 && m.Sum("ingest_batches", `state="waiting"`) > 0 && m.Max("ingest_oldest_batch_age_seconds", `state="waiting"`) > 5 &&
			m.Sum("ingest_open_batches") == m.Sum("ingest_batches") // what Temporal knows is what the planner knows
	})
	require.Less(t, m.Max("ingest_lag_seconds"), time.Since(began).Seconds())
	require.InDelta(t, m.Sum("ingest_log_end_offset")-m.Sum("ingest_low_watermark_offset"), m.Sum("ingest_lag_offsets"), 0)

	s.takesOver(first, began)
}

// takesOver has another consumer plan while ClickHouse is away since began, and then mends it.
func (s *scene) takesOver(first *rig.Process, began time.Time) {
	t := s.t
	t.Helper()
	second := s.watched()
	s.shows(second, "two members, each topic shown by one", func(m rig.Metrics) bool {
		mine, err := first.Metrics(s.ctx)
		require.NoError(t, err)
		shared := 0
		for _, name := range []string{"ingest_lag_offsets", "ingest_lag_seconds", "ingest_log_end_offset", "ingest_topic_stopped", "ingest_batches"} {
			for _, topic := range []string{load.Logs, load.Metrics, load.Events} {
				label := `topic="` + topic + `"`
				shared += m.Count(name, label) * mine.Count(name, label)
			}
		}
		return m.Sum("ingest_group_members") == 2 && m.Sum("ingest_planner")+mine.Sum("ingest_planner") == 3 && shared == 0
	})
	stopped := time.Now()
	first.Stop()
	m := s.shows(second, "a takeover", func(m rig.Metrics) bool {
		return m.Sum("ingest_planner") == 3 && m.Sum("ingest_lag_offsets") >= 5_000 && m.Max("ingest_lag_seconds") > 0 && m.Sum("ingest_batches", `state="waiting"`) > 0
	})
	require.Less(t, m.Max("ingest_lag_seconds"), time.Since(began).Seconds())
	require.Greater(t, m.Max("ingest_lag_seconds"), time.Since(stopped).Seconds(), "by the record's time, not since the takeover")
	require.NoError(t, s.ClickHouse.Start(s.ctx))
	s.shows(second, "all is stored again", s.idle)
	s.exact()
	require.Equal(t, "clean", s.audit(0).Verdict)
	m = s.shows(second, "the audit", func(m rig.Metrics) bool { return m.Count("ingest_audit_clean") == 1 })
	require.InDelta(t, 1, m.Sum("ingest_audit_clean", `topic="`+load.Logs+`"`), 0)
	require.InDelta(t, time.Now().Unix(), m.Sum("ingest_audit_last_timestamp_seconds"), 60)
}
