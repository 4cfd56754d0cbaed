package integration

import (
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/ai-backlog/ingest/integration/rig"
)

// apacheNeeded skips the test on a machine that cannot run Apache Kafka, and fails it in CI.
func apacheNeeded(t *testing.T) {
	t.Helper()
	in, err := rig.Containers()
	require.NoError(t, err)
	if in { // which have it with them
		return
	}
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%v: in CI every test runs", err)
			}
			t.Skip(err)
		}
	}
}

// newApache is a scene on Apache Kafka, whatever the environment says.
func newApache(t *testing.T) *scene {
	t.Helper()
	apacheNeeded(t)
	t.Parallel()
	return newSceneOf(t, rig.Options{Apache: true})
}

// newCluster is a scene on three brokers, of Apache Kafka.
func newCluster(t *testing.T, env ...string) *scene {
	t.Helper()
	apacheNeeded(t)
	t.Parallel()
	return newSceneOf(t, rig.Options{Brokers: 3, Env: env})
}

// keepSending sends n records at a time until it is stopped, which returns when each is acknowledged.
func (s *scene) keepSending(n int) (stop func()) {
	var sending errgroup.Group
	var over atomic.Bool
	sending.Go(func() error {
		for !over.Load() {
			if err := s.Produce(s.ctx, s.gen, n, &s.sent, nil); err != nil {
				return err
			}
		}
		return nil
	})
	return func() {
		s.t.Helper()
		over.Store(true)
		require.NoError(s.t, sending.Wait())
	}
}
