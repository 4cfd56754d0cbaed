package integration

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// fromVariable names the commit that is upgraded from.
const fromVariable = "UPGRADE_FROM"

// olderPrograms are those of the commit that is asked for, or before the last change of their code. Without history there are none.
func olderPrograms(t *testing.T) (dir string) {
	t.Helper()
	commit := os.Getenv(fromVariable)
	if commit == "" {
		var err error
		if commit, err = rig.Older(t.Context(), 1); errors.Is(err, rig.ErrNoHistory) {
			t.Skip(err) // a shallow clone, in CI too
		}
		require.NoError(t, err)
	}
	dir = t.TempDir()
	require.NoError(t, rig.BuildOlder(t.Context(), commit, dir))
	t.Logf("from commit %s", commit)
	return dir
}

// trickle sends some 2,000 records a second until it is stopped.
func (s *scene) trickle() (stop func()) {
	var sending errgroup.Group
	var over atomic.Bool
	sending.Go(func() error {
		for !over.Load() {
			if err := s.Produce(s.ctx, s.gen, 500, &s.sent, nil); err != nil {
				return err
			}
			pause(s.ctx, 250*time.Millisecond)
		}
		return nil
	})
	return func() {
		s.t.Helper()
		over.Store(true)
		require.NoError(s.t, sending.Wait())
	}
}

// Program by program, workers first, as docs/upgrades.md says; and back, as after an upgrade that was regretted; and again.
func TestAnUpgradeUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	older := olderPrograms(t)
	newer, err := rig.Build(t.Context(), os.Stderr)
	require.NoError(t, err)
	s := newSceneOf(t, rig.Options{Programs: older})
	worker, err := s.Worker()
	require.NoError(t, err)
	consumer, err := s.Consumer()
	require.NoError(t, err)
	s.ready()
	stop := s.trickle()
	s.flows(5000)
	for _, to := range []string{newer, older, newer} {
		for _, p := range []*rig.Process{s.worker, worker, s.consumer, consumer} {
			p.Stop()
			code, err := p.Wait(s.ctx)
			require.NoError(t, err)
			require.Zero(t, code, tail(p.Log()))
			require.NoError(t, p.Replace(filepath.Join(to, filepath.Base(p.Path()))))
			s.flows(2000) // both versions at work, side by side
		}
		s.flows(5000)
	}
	stop()
	s.exact()
	for _, topic := range []string{load.Logs, load.Metrics, load.Events} {
		require.NoError(t, s.Marked(s.ctx, topic))
	}
	s.clean(allTopics...)
	b, err := s.Batches(s.ctx)
	require.NoError(t, err)
	t.Logf("%d records in %d batches", s.sent.Good.Load()+s.sent.Broken.Load(), b)
}
