package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/rig"
)

func TestMain(m *testing.M) {
	defer rig.Clean()
	m.Run()
}

// A handful of faults, each alone and then mixed: the promise holds. The seed is fixed, so it is the same schedule each time; make
// chaos draws another one.
func TestEveryRecordEndsInOnePlaceThroughFaultsAloneAndMixed(t *testing.T) {
	var table bytes.Buffer
	cfg := Config{
		Seconds: 60, Rate: 1000, Seed: 20261127, Out: filepath.Join(t.TempDir(), "table.md"), log: os.Stderr, table: &table,
		Names: []string{"kill-worker", "freeze-consumer", "half-open", "cut-network", "too-many-parts", "deploy"},
	}
	require.NoError(t, cfg.prepare())
	ctx, cancel := context.WithTimeout(t.Context(), 18*time.Minute)
	defer cancel()
	require.NoError(t, run(ctx, cfg))
	t.Log(table.String())
	markdown, err := os.ReadFile(cfg.Out)
	require.NoError(t, err)
	for _, name := range append(cfg.Names, "mixed", "all") {
		require.Contains(t, string(markdown), "\n| "+name+" | ")
	}
}

func TestSettingsThatMakeNoSenseAreToldAllAtOnce(t *testing.T) {
	cfg := Config{Seconds: 1, Rate: 1, Records: -1, Names: []string{"kill-worker", "flood"}, Out: filepath.Join(t.TempDir(), "missing", "table.md")}
	err := cfg.prepare()
	for _, want := range []string{"CHAOS_SECONDS is 1", "CHAOS_RATE is 1", "CHAOS_RECORDS is -1", "CHAOS_OUT: open ", `CHAOS_FAULTS: there is no fault "flood": choose of kill-consumer, `} {
		require.ErrorContains(t, err, want)
	}
}

func TestTheScheduleIsTheSeeds(t *testing.T) {
	draw := func(seed uint64) (out []time.Duration) {
		c := &chaos{Config: Config{Seconds: 600, Rate: 100, Seed: seed}}
		require.NoError(t, c.prepare())
		for lane := range uint64(3) {
			rng := c.rng(lane)
			for range 10 {
				out = append(out, c.lasting(rng))
			}
		}
		return out
	}
	again := draw(1)
	require.Equal(t, again, draw(1))
	require.NotEqual(t, draw(1), draw(2))
	for _, d := range draw(3) {
		require.GreaterOrEqual(t, d, time.Second)
		require.LessOrEqual(t, d, 30*time.Second)
	}
}

func TestAStallIsTheLongestTimeWithoutARowWhileRecordsWait(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	w := &watch{since: at(0)}
	for _, x := range []struct {
		at                 float64
		acknowledged, rows int64
		err                error
		stall              float64
	}{
		{at: 1, acknowledged: 0, rows: 0, stall: 1},
		{at: 2, acknowledged: 10, rows: 0, stall: 1},
		{at: 5, acknowledged: 20, err: os.ErrDeadlineExceeded, stall: 4},
		{at: 7, acknowledged: 20, rows: 10, stall: 6},
		{at: 8, acknowledged: 20, rows: 20, stall: 6},
		{at: 30, acknowledged: 20, rows: 20, stall: 22}, // it was not asked meanwhile: the worst is assumed
		{at: 31, acknowledged: 20, rows: 20, stall: 22},
	} {
		w.look(at(x.at), x.acknowledged, x.rows, x.err)
		require.Equal(t, time.Duration(x.stall*float64(time.Second)), w.stall(), x)
	}
	w.begin()
	require.Zero(t, w.stall())
}

func TestFaultsThatShareAClaimAreNeverAtWorkTogether(t *testing.T) {
	c := newClaims()
	give, err := c.take(t.Context(), []string{"kafka", "workers"})
	require.NoError(t, err)
	other, err := c.take(t.Context(), []string{"temporal"})
	require.NoError(t, err)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.take(over, []string{"workers"})
	require.ErrorIs(t, err, context.Canceled)
	got := make(chan error)
	go func() {
		_, err := c.take(t.Context(), []string{"workers", "temporal"})
		got <- err
	}()
	give()
	select {
	case err := <-got:
		require.Fail(t, "temporal was not given back yet", err)
	case <-time.After(50 * time.Millisecond):
	}
	other()
	require.NoError(t, <-got)
}
