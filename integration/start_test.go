package integration

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/rig"
)

// Every connection of a starting program is ended many times, at whatever step of its start.
func TestProgramsThatStartWhileTheNetworkComesAndGoesWaitAndBecomeReady(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	r, err := rig.Start(ctx, rig.Options{Dir: t.TempDir(), Log: os.Stderr, Links: true})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	first, err := r.Worker()
	require.NoError(t, err)
	require.NoError(t, r.AwaitLog(ctx, first, "worker is ready"))

	const seed = 1
	rng := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // reproducible on purpose
	for _, l := range []*rig.Link{r.Links.ClickHouse, r.Links.Temporal, r.Links.Kafka} {
		for range 3 {
			worker, err := r.Worker()
			require.NoError(t, err)
			consumer, err := r.Consumer()
			require.NoError(t, err)
			for range 60 {
				l.Refuse()
				pause(ctx, time.Duration(1+rng.IntN(10))*time.Millisecond)
				l.Clear()
				pause(ctx, time.Duration(1+rng.IntN(100))*time.Millisecond)
			}
			require.NoError(t, r.AwaitLog(ctx, worker, "worker is ready"))
			require.NoError(t, r.AwaitLog(ctx, consumer, "consumer is ready"))
			worker.Stop()
			consumer.Stop()
		}
	}
}
