package integration

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/integration/load"
)

// Each of three brokers dies and comes back, one after the other, while records are sent and stored: among them the leader of every
// partition, the coordinator of the group, and the controller of the cluster. A record is acknowledged when two of three have it.
func TestABrokerOfThreeDiesUnderLoadAndEveryRecordEndsInOnePlace(t *testing.T) {
	s := newCluster(t)
	s.send(1000)
	s.exact()

	stop := s.keepSending(1000)
	for _, broker := range s.Brokers {
		s.more(5000)
		require.NoError(t, broker.Kill())
		s.more(5000) // by the two that are left
		require.NoError(t, broker.Start(s.ctx))
		s.whole()
	}
	stop()
	s.exact()
	t.Logf("%d records", s.sent.Good.Load()+s.sent.Broken.Load())
	s.clean(topics...)
}

// topics are those that records are sent to.
var topics = []string{load.Logs, load.Metrics, load.Events}

// more waits until n more records have a place.
func (s *scene) more(n int64) {
	s.t.Helper()
	b, err := s.Count(s.ctx)
	require.NoError(s.t, err)
	s.stored(b.Stored + b.Dead + n)
}

// whole waits until every broker has every record, so that any of them may go next.
func (s *scene) whole() {
	s.t.Helper()
	adm := kadm.NewClient(s.Client)
	require.NoError(s.t, s.Until(s.ctx, "every broker has every record", func(ctx context.Context) (bool, string) {
		all, err := adm.ListTopicsWithInternal(ctx)
		if err != nil {
			return false, err.Error()
		}
		for _, topic := range all {
			for _, p := range topic.Partitions {
				if len(p.ISR) < len(p.Replicas) {
					return false, fmt.Sprintf("partition %d of %s is on %d only", p.Partition, topic.Topic, p.ISR)
				}
			}
		}
		return true, ""
	}))
}
