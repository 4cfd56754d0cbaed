// Package integration tests the promise on real servers and real processes that
// get killed: every record that Kafka acknowledged ends in exactly one place,
// exactly once.
package integration

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

func TestMain(m *testing.M) {
	defer rig.Clean()
	m.Run()
}

// mix has enough broken records that dead letters are in every batch.
var mix = load.Mix{Metrics: 0.15, Events: 0.05, Broken: 0.01}

// scene is a rig with a worker and a consumer, and what was sent to it.
type scene struct {
	*rig.Rig
	t                *testing.T
	ctx              context.Context //nolint:containedctx // the test's
	worker, consumer *rig.Process
	gen              *load.Generator
	sent             rig.Sent
	serial           int    // of sendTo
	jars             string // of Kafka's tools
}

func newScene(t *testing.T, env ...string) *scene {
	t.Helper()
	return newSceneOf(t, rig.Options{Env: env})
}

// newSceneOf is a scene of small batches, of which the options may say what differs.
func newSceneOf(t *testing.T, o rig.Options) *scene {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 18*time.Minute)
	t.Cleanup(cancel)
	o.Dir, o.Log, o.Env = t.TempDir(), os.Stderr, append([]string{"BATCH_LINGER=300ms", "BATCH_RECORDS=5000"}, o.Env...)
	r, err := rig.Start(ctx, o)
	require.NoError(t, err)
	s := &scene{Rig: r, t: t, ctx: ctx, gen: load.New(1, mix)}
	t.Cleanup(func() {
		r.Close()
		if t.Failed() && s.worker != nil {
			t.Logf("worker:\n%s", tail(s.worker.Log()))
			t.Logf("consumer:\n%s", tail(s.consumer.Log()))
		}
	})
	s.worker, err = r.Worker()
	require.NoError(t, err)
	s.consumer, err = r.Consumer()
	require.NoError(t, err)
	return s
}

func tail(s string) string { return s[max(0, len(s)-6000):] }

func (s *scene) send(n int) {
	s.t.Helper()
	require.NoError(s.t, s.Produce(s.ctx, s.gen, n, &s.sent, nil))
}

// stored waits until about n records have a place.
func (s *scene) stored(n int64) {
	s.t.Helper()
	require.NoError(s.t, s.Until(s.ctx, "wait for records", func(ctx context.Context) (bool, string) {
		b, err := s.Count(ctx)
		return err == nil && b.Stored+b.Dead >= n, ""
	}))
}

// exact waits for every record and for the end of every batch, then counts.
func (s *scene) exact() {
	s.t.Helper()
	require.NoError(s.t, s.Drain(s.ctx, &s.sent))
	require.NoError(s.t, s.Settled(s.ctx))
	b, err := s.Count(s.ctx)
	require.NoError(s.t, err)
	require.NoError(s.t, b.Exact(&s.sent))
	require.Positive(s.t, b.Dead)
}

func TestEveryRecordEndsInOnePlace(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(30_000)
	s.exact()
}

func TestWorkerKilledDuringInserts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for range 4 {
		s.send(20_000)
		s.stored(s.sent.Good.Load() - 19_000)
		s.worker.Kill()
		require.NoError(t, s.worker.Restart())
	}
	s.exact()
}

func TestConsumerKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for i := range 6 {
		s.send(10_000)
		s.stored(int64(i) * 8_000)
		s.consumer.Kill()
		require.NoError(t, s.consumer.Restart())
	}
	s.exact()
}

func TestClickHouseKilledFor15Seconds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(20_000)
	s.stored(1)
	require.NoError(t, s.ClickHouse.Kill())
	s.send(20_000)
	pause(s.ctx, 15*time.Second)
	require.NoError(t, s.ClickHouse.Start(s.ctx))
	s.exact()
}

func TestClickHouseFrozenFor15Seconds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(20_000)
	s.stored(1)
	require.NoError(t, s.ClickHouse.Freeze())
	s.send(20_000)
	pause(s.ctx, 15*time.Second)
	require.NoError(t, s.ClickHouse.Thaw())
	s.exact()
}

func TestTemporalKilledAndRestarted(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(20_000)
	s.stored(1)
	require.NoError(t, s.Temporal.Kill())
	s.send(20_000)
	require.NoError(t, s.Temporal.Start(s.ctx))
	s.exact()
}

func TestAFrozenConsumerThawsAfterItsSession(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	second, err := s.Rig.Consumer()
	require.NoError(t, err)
	for _, zombie := range []*rig.Process{s.consumer, second} {
		s.send(20_000)
		s.stored(s.sent.Good.Load() - 15_000)
		require.NoError(t, zombie.Freeze())
		s.send(20_000)
		require.NoError(t, s.Drain(s.ctx, &s.sent)) // the other one has taken over
		s.send(5_000)
		require.NoError(t, zombie.Thaw())
	}
	s.exact()
}

// pause is how long a fault lasts.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
