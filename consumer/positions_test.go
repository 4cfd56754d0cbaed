package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/planlog"
)

// at is what a planner knows of one partition, just now.
func at(start, low, next, end int64) planlog.Snapshot {
	of := func(o int64) map[int32]int64 { return map[int32]int64{0: o} }
	return planlog.Snapshot{Looked: time.Now(), Start: of(start), Low: of(low), Next: of(next), End: of(end), Unplanned: of(end - next)}
}

// shows requires the only series of a metric to have the value; "" if there is none.
func shows(t *testing.T, reg prometheus.Gatherer, name, value string) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	got := ""
	for _, f := range families {
		if f.GetName() == name {
			got = fmt.Sprint(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	require.Equal(t, value, got, name)
}

// newShown is what is shown, and where.
func newShown() (*positions, *prometheus.Registry) {
	reg := prometheus.NewPedanticRegistry()
	return newPositions(reg), reg
}

func TestPositionsAreThoseOfTheLastRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, reg := newShown()
		p.show("logs", at(5, 10, 20, 30))
		require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP ingest_lag_offsets Offsets between the low watermark and the last stable offset.
# TYPE ingest_lag_offsets gauge
ingest_lag_offsets{partition="0",topic="logs"} 20
# HELP ingest_log_end_offset Last stable offset: one past the last record that can be read. Its rate is the production rate.
# TYPE ingest_log_end_offset gauge
ingest_log_end_offset{partition="0",topic="logs"} 30
# HELP ingest_log_start_offset Log start: the first offset that Kafka still has.
# TYPE ingest_log_start_offset gauge
ingest_log_start_offset{partition="0",topic="logs"} 5
# HELP ingest_low_watermark_offset Everything below it is stored or dead-lettered. Its rate is what ends.
# TYPE ingest_low_watermark_offset gauge
ingest_low_watermark_offset{partition="0",topic="logs"} 10
# HELP ingest_planned_offset Where the next batch starts. Its rate is what is planned.
# TYPE ingest_planned_offset gauge
ingest_planned_offset{partition="0",topic="logs"} 20
# HELP ingest_unplanned_offsets Offsets that no batch owns yet.
# TYPE ingest_unplanned_offsets gauge
ingest_unplanned_offsets{partition="0",topic="logs"} 10
`)))
	})
}

func TestALagThatWasNotSeenToBeginIsLookedAtBeforeItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, reg := newShown()
		p.show("logs", at(0, 10, 20, 30))
		shows(t, reg, "ingest_lag_seconds", "")
		s, known := p.lagging("logs")
		require.True(t, known[0].due(time.Now()))
		p.learn("logs", 0, s, oldest{first: 12, stamp: time.Now().Add(-time.Hour), looked: true})
		shows(t, reg, "ingest_lag_seconds", "3600")
		pass(time.Minute)
		p.show("logs", at(0, 10, 20, 40))
		shows(t, reg, "ingest_lag_seconds", "3660")
		_, known = p.lagging("logs")
		require.False(t, known[0].due(time.Now()), "it is the same record")
	})
}

func TestALagThatBeginsCountsFromThereUntilItHasLasted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, reg := newShown()
		p.show("logs", at(0, 30, 30, 30))
		shows(t, reg, "ingest_lag_seconds", "0")
		pass(time.Second)
		p.show("logs", at(0, 30, 30, 31))
		shows(t, reg, "ingest_lag_seconds", "0")
		pass(time.Second)
		shows(t, reg, "ingest_lag_seconds", "1")
		_, known := p.lagging("logs")
		require.False(t, known[0].due(time.Now()))
		pass(time.Second)
		_, known = p.lagging("logs")
		require.True(t, known[0].due(time.Now()))
		p.show("logs", at(0, 31, 31, 31))
		shows(t, reg, "ingest_lag_seconds", "0")
	})
}

func TestWhenTheLowWatermarkGoesOnTheLastAgeStandsUntilTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, reg := newShown()
		p.show("logs", at(0, 10, 20, 30))
		s, _ := p.lagging("logs")
		p.learn("logs", 0, s, oldest{first: 12, stamp: time.Now(), looked: true})
		pass(5 * time.Second)
		p.show("logs", at(0, 12, 20, 30))
		pass(5 * time.Second)
		shows(t, reg, "ingest_lag_seconds", "10")
		p.show("logs", at(0, 13, 20, 30))
		pass(5 * time.Second)
		p.show("logs", at(0, 20, 20, 30))
		shows(t, reg, "ingest_lag_seconds", "10")
		s, known := p.lagging("logs")
		require.True(t, known[0].due(time.Now()))
		p.show("logs", at(0, 21, 21, 30)) // while it is looked at
		p.learn("logs", 0, s, oldest{first: 20, stamp: time.Now().Add(-3 * time.Second), looked: true})
		pass(time.Second)
		shows(t, reg, "ingest_lag_seconds", "3")
		p.show("logs", at(0, 5, 5, 30))
		shows(t, reg, "ingest_lag_seconds", "")
	})
}

func TestALagOfHolesIsNoSecondsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, reg := newShown()
		p.show("logs", at(0, 10, 20, 30))
		s, _ := p.lagging("logs")
		p.learn("logs", 0, s, oldest{first: 30, none: true, looked: true})
		pass(time.Minute)
		p.show("logs", at(0, 10, 20, 30))
		shows(t, reg, "ingest_lag_seconds", "0")
		_, known := p.lagging("logs")
		require.True(t, known[0].due(time.Now()), "records may have come")
	})
}

func TestWhileKafkaIsSilentOnlyWhatIsUnfinishedForCertainIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, reg := newShown()
		caughtUp, behind := at(0, 30, 30, 30), at(0, 10, 20, 30)
		p.show("caught_up", caughtUp)
		p.show("behind", behind)
		s, _ := p.lagging("behind")
		p.learn("behind", 0, s, oldest{first: 10, stamp: time.Now(), looked: true})
		pass(positionsLife)
		p.show("caught_up", planlog.Snapshot{}) // rounds go on
		p.show("caught_up", caughtUp)
		p.show("behind", behind)
		shows(t, reg, "ingest_lag_offsets", "20")
		pass(time.Second)
		shows(t, reg, "ingest_lag_offsets", "")
		shows(t, reg, "ingest_log_end_offset", "")
		require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP ingest_lag_seconds Age, by Kafka's timestamp, of the record at the low watermark; 0 without a lag.
# TYPE ingest_lag_seconds gauge
ingest_lag_seconds{partition="0",topic="behind"} 31
`), "ingest_lag_seconds"))
		_, known := p.lagging("behind")
		require.Empty(t, known, "nobody asks a Kafka that is away")
	})
}
