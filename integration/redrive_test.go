package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// Poison becomes dead letters; after the fix a redrive makes rows of them, while the worker dies ten times, a second redrive is
// asked for, and the same range is replayed.
func TestARedriveStoresEachDeadLetterOnceThroughTheDeathOfWorkers(t *testing.T) {
	t.Parallel()
	const n = 50_000
	s := newScene(t, "BATCH_RECORDS=25000", "BATCH_LINGER=1s")
	s.sendGood(1000)
	s.all()
	s.exec("ALTER TABLE logs ADD CONSTRAINT closed CHECK 0")
	s.poison(n, func(int) bool { return true })
	s.sent.Good.Add(n)
	s.everyBatch("held", "dead_letter", "--all")
	require.EqualValues(t, n, s.count("SELECT count() FROM dead_letters WHERE class = 'decided' AND state = 'dead'"))
	require.Contains(t, s.starter("redrive", "--topic", load.Logs, "--dry-run"), fmt.Sprint(n))
	s.exec("ALTER TABLE logs DROP CONSTRAINT closed")

	redrive, err := s.Starter("redrive", "--topic", load.Logs, "--rate", "2500")
	require.NoError(t, err)
	replay, err := s.Starter("replay", "--topic", load.Logs, "--all")
	require.NoError(t, err)
	for range 10 {
		pause(s.ctx, time.Duration(200+rand.IntN(2500))*time.Millisecond) //nolint:gosec // a random moment
		s.worker.Kill()
		require.NoError(t, s.worker.Restart())
		require.NoError(t, s.AwaitLog(s.ctx, s.worker, "worker is ready"))
	}
	second, err := s.Starter("redrive", "--topic", load.Logs)
	require.NoError(t, err)
	code, err := second.Wait(s.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, code, second.Log())
	require.Contains(t, second.Log(), "to wait for it: starter redrive --attach")
	for _, p := range []*rig.Process{redrive, replay} {
		code, err := p.Wait(s.ctx)
		require.NoError(t, err)
		require.Zero(t, code, p.Log())
	}
	t.Log(redrive.Log(), replay.Log())
	s.redriven(n)
	require.Contains(t, s.starter("redrive", "--topic", load.Logs), "stored        0") // once more: there is nothing to do
	s.redriven(n)
	s.clean(load.Logs)
}

// everyBatch decides for every batch in the state, until none is open.
func (s *scene) everyBatch(state string, decision ...string) {
	s.t.Helper()
	_, err := s.AwaitState(s.ctx, state, "")
	require.NoError(s.t, err)
	told := map[string]bool{}
	require.NoError(s.t, s.Until(s.ctx, "decide for every batch", func(ctx context.Context) (bool, string) {
		all, err := s.Find(ctx, `WorkflowType = "Ingest" AND ExecutionStatus = "Running"`)
		for _, b := range all {
			if b.State == state && !told[b.ID] {
				s.starter(append([]string{"resolve", b.ID}, decision...)...)
				told[b.ID] = true
			}
		}
		return err == nil && len(all) == 0, fmt.Sprint(all, err)
	}))
}

// redriven requires that n dead letters are rows, once, and that nothing else is wrong.
func (s *scene) redriven(n int64) {
	s.t.Helper()
	b, err := s.Count(s.ctx)
	require.NoError(s.t, err)
	require.Equal(s.t, s.sent.Good.Load(), b.Stored)
	require.Zero(s.t, b.Duplicates)
	require.Equal(s.t, n, s.count("SELECT count() FROM dead_letters WHERE state = 'redriven'"))
	require.Zero(s.t, s.count("SELECT count() FROM dead_letters WHERE state != 'redriven'"))
}

// clean requires that an audit of all that Kafka has finds nothing.
func (s *scene) clean(topics ...string) {
	s.t.Helper()
	for _, topic := range topics {
		require.Contains(s.t, s.starter("audit", "--topic", topic, "--all"), "clean")
	}
}

func TestWhatIsRefusedAgainStaysDeadWithTodaysReason(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ready()
	s.exec("ALTER TABLE logs ADD CONSTRAINT no_poison CHECK NOT startsWith(message, 'poison')")
	const n, bad = 3000, 30
	s.poison(n, func(i int) bool { return i%100 == 0 })
	s.sent.Good.Add(n)
	s.refused(bad)
	require.NoError(t, s.Drain(s.ctx, &s.sent))
	require.NoError(t, s.Settled(s.ctx))
	s.clean(load.Logs)
	s.exec("ALTER TABLE logs DROP CONSTRAINT no_poison", "ALTER TABLE logs ADD CONSTRAINT some CHECK NOT match(message, 'poison [0-9]*5?00$') OR NOT startsWith(message, 'poison 1')")
	s.starter("redrive", "--topic", load.Logs)
	still := s.count("SELECT count() FROM dead_letters WHERE state = 'dead'")
	require.Positive(t, still)
	require.Less(t, still, int64(bad))
	require.Equal(t, still, s.count("SELECT count() FROM dead_letters WHERE state = 'dead' AND message LIKE '%some%' AND code = 469"))
	require.Equal(t, n-still, s.count("SELECT count() FROM logs"))
	s.clean(load.Logs)
	s.exec("ALTER TABLE logs DROP CONSTRAINT some")
	s.starter("redrive", "--topic", load.Logs, "--limit", "1")
	require.Equal(t, still-1, s.count("SELECT count() FROM dead_letters WHERE state = 'dead'"))
	s.starter("redrive", "--topic", load.Logs, "--reason", "VIOLATED_CONSTRAINT", "--since", "1h")
	require.EqualValues(t, n, s.count("SELECT uniqExact(_partition, _offset) FROM logs"))
	require.EqualValues(t, n, s.count("SELECT count() FROM logs"))
	require.Zero(t, s.count("SELECT count() FROM dead_letters WHERE state = 'dead'"))
	s.clean(load.Logs)
}

// ready waits for the tables.
func (s *scene) ready() { require.NoError(s.t, s.AwaitLog(s.ctx, s.worker, "worker is ready")) }
