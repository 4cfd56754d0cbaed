package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// reset sets the group's offsets of all topics to 0, as an operator does with
// Kafka's own tools.
func (s *scene) reset() {
	s.t.Helper()
	adm := kadm.NewClient(s.Client)
	ends, err := adm.ListEndOffsets(s.ctx, load.Logs, load.Metrics, load.Events)
	require.NoError(s.t, err)
	os := make(kadm.Offsets)
	ends.Each(func(o kadm.ListedOffset) { os.AddOffset(o.Topic, o.Partition, 0, -1) })
	// Kafka refuses while the group has members: until the sessions of those that were killed or frozen are over.
	require.NoError(s.t, s.Until(s.ctx, "set the offsets back", func(ctx context.Context) (bool, string) {
		err := adm.CommitAllOffsets(ctx, rig.Group, os)
		return err == nil, fmt.Sprint(err)
	}))
}

func TestOffsetsSetBackDoubleNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(20_000)
	s.exact()
	s.consumer.Stop()
	s.reset()
	require.NoError(t, s.consumer.Restart())
	s.send(5_000)
	s.exact()
	require.NoError(t, s.Until(s.ctx, "the log says how many were there", func(context.Context) (bool, string) {
		return strings.Contains(s.worker.Log(), "records are there already"), ""
	}))
	s.exact()
}

func TestOffsetsSetBackWhileBatchesRunAndAPlannerIsFrozen(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(30_000)
	s.stored(1)
	require.NoError(t, s.consumer.Freeze())
	second, err := s.Rig.Consumer()
	require.NoError(t, err)
	s.send(10_000)
	require.NoError(t, s.Drain(s.ctx, &s.sent))
	second.Kill()
	s.reset()
	require.NoError(t, second.Restart())
	require.NoError(t, s.consumer.Thaw())
	s.send(10_000)
	s.exact()
}

func TestTruncatedTableIsFilledAgainByAReset(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(20_000)
	s.exact()
	s.consumer.Stop()
	require.NoError(t, s.DB.Exec(s.ctx, "TRUNCATE TABLE logs"))
	s.reset()
	require.NoError(t, s.consumer.Restart())
	s.exact()
}

func TestATopicCreatedAgainIsStoredAnew(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(10_000)
	s.exact()
	adm := kadm.NewClient(s.Client)
	_, err := adm.DeleteTopics(s.ctx, load.Logs)
	require.NoError(t, err)
	_, err = adm.CreateTopic(s.ctx, 4, 1, nil, load.Logs)
	require.NoError(t, err)
	s.Client.PurgeTopicsFromClient(load.Logs)
	s.send(10_000)
	s.exact()
}
