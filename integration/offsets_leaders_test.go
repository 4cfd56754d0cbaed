package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Every partition gets other leaders while records are sent and stored, and each broker is asked to stop, and comes back. No election
// loses anything, so the topic never stands still.
func TestLeadersThatMoveAndBrokersThatRestartUnderLoadLoseNothing(t *testing.T) {
	s := newCluster(t)
	s.send(1000)
	s.exact()
	stop := s.keepSending(500)
	for _, broker := range s.Brokers {
		s.moveLeaders(topics...)
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

// moveLeaders makes the second replica of each partition its leader, and the first one its last.
func (s *scene) moveLeaders(topics ...string) {
	s.t.Helper()
	adm := kadm.NewClient(s.Client)
	before, err := adm.ListTopics(s.ctx, topics...)
	require.NoError(s.t, errors.Join(err, before.Error()))
	var to kadm.AlterPartitionAssignmentsReq
	before.EachPartition(func(p kadm.PartitionDetail) {
		to.Assign(p.Topic, p.Partition, append(slices.Clone(p.Replicas[1:]), p.Replicas[0])) // the next one is preferred
	})
	ctx, cancel := context.WithTimeout(s.ctx, 3*time.Minute)
	defer cancel()
	require.NoError(s.t, s.Until(ctx, "leaders have moved", func(ctx context.Context) (bool, string) {
		answer, err := adm.AlterPartitionAssignments(ctx, to) // a controller that has just changed may refuse
		_, e := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, before.TopicsSet())
		now, e2 := adm.ListTopics(ctx, topics...)
		stay := 0
		now.EachPartition(func(p kadm.PartitionDetail) {
			if p.Leader != to[p.Topic][p.Partition][0] {
				stay++
			}
		})
		err = errors.Join(err, answer.Error(), e, e2, now.Error())
		return err == nil && stay == 0, fmt.Sprint(stay, " partitions stay, ", err)
	}))
}
