package integration

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/integration/load"
)

// Every partition gets other leaders while records are sent and stored, and each broker is asked to stop, and comes back. No election
// loses anything, so the topic never stands still.
func TestLeadersThatMoveAndBrokersThatRestartUnderLoadLoseNothing(t *testing.T) {
	s := newCluster(t)
	s.send(1000)
	s.exact()
	stop := s.keepSending(500)
	adm := kadm.NewClient(s.Client)
	for _, broker := range s.Brokers {
		var to kadm.AlterPartitionAssignmentsReq
		var elect kadm.TopicsSet
		ts, err := adm.ListTopics(s.ctx, topics...)
		require.NoError(t, err)
		for _, topic := range topics {
			for _, p := range ts[topic].Partitions {
				to.Assign(topic, p.Partition, append(slices.Clone(p.Replicas[1:]), p.Replicas[0])) // the next one is preferred
				elect.Add(topic, p.Partition)
			}
		}
		_, err = adm.AlterPartitionAssignments(s.ctx, to)
		require.NoError(t, err)
		s.until("leaders have moved", func() bool {
			_, _ = adm.ElectLeaders(s.ctx, kadm.ElectPreferredReplica, elect)
			now, err := adm.ListTopics(s.ctx, load.Logs)
			return err == nil && slices.ContainsFunc(now[load.Logs].Partitions.Sorted(), func(p kadm.PartitionDetail) bool { return p.Leader != ts[load.Logs].Partitions[p.Partition].Leader })
		})
		s.more(1000)
		require.NoError(t, broker.Stop())
		s.more(1000)
		require.NoError(t, broker.Start(s.ctx))
		s.whole()
	}
	stop()
	s.exact()
	require.NotContains(t, s.consumer.Log(), "truncated below")
	for _, topic := range topics {
		require.NoError(t, s.Marked(s.ctx, topic))
	}
	s.clean(topics...)
}
