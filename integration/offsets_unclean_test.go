package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// Of a partition's two brokers one is away while records are acknowledged by the other alone, and stored. Then that one dies, and the
// first becomes leader without them: new records take their offsets. The topic stands still until it is resumed; then every new
// record is stored once, and what Kafka lost is kept once.
func TestATopicThatAnUncleanElectionTruncatedIsResumed(t *testing.T) {
	s := newCluster(t, rig.MetricsAnywhere)
	s.sendGood(2000)
	s.all()
	watch := &watch{scene: s, rules: alertRules(t)}
	watch.over(map[string][]string{"ingest-consumer": {s.consumer.MetricsAddr()}, "ingest-worker": {s.worker.MetricsAddr()}}, inTrouble)
	leader, follower := s.partitionOnTwo(load.Logs)

	require.NoError(t, s.Brokers[follower].Kill())
	s.until("the leader is alone", func() bool { return len(s.partition(load.Logs).ISR) == 1 })
	const lost, broken = 300, 10
	s.sendTo(0, lost, broken)
	s.exact()
	require.NoError(t, s.Brokers[leader].Kill())
	require.NoError(t, s.Brokers[follower].Start(s.ctx))
	s.until("the other leads", func() bool { return int(s.partition(load.Logs).Leader) == follower+1 })
	const fresh = 200 // at offsets of the lost ones
	s.sendTo(0, fresh, broken)
	require.NoError(t, s.AwaitLog(s.ctx, s.consumer, "topic was truncated below what is planned"))
	stopped := time.Now()
	require.NoError(t, s.Settled(s.ctx))
	before := s.count("SELECT count() FROM logs")

	var d struct {
		Truncated []struct {
			End, Planned, Rows int64
			Letters            int64  `json:"dead_letters"`
			LogEnd             int64  `json:"log_end"`
			Kept               string `json:"kept_id"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(s.starter("resume", "--topic", load.Logs, "--dry-run", "--json")), &d))
	require.Len(t, d.Truncated, 1)
	cut := d.Truncated[0]
	require.EqualValues(t, lost, cut.Planned-cut.End)
	require.EqualValues(t, fresh, cut.LogEnd-cut.End)
	require.EqualValues(t, lost-broken, cut.Rows)
	require.EqualValues(t, broken, cut.Letters)
	require.Equal(t, before, s.count("SELECT count() FROM logs"), "a dry run changes nothing")

	watch.fire(stopped, "IngestTopicStopped")
	asked, err := s.Starter("resume", "--topic", load.Logs, "--yes")
	require.NoError(t, err)
	s.worker.Kill() // whatever it is at
	s.consumer.Kill()
	require.NoError(t, s.worker.Restart())
	require.NoError(t, s.consumer.Restart())
	s.sendGood(500) // they wait
	code, err := asked.Wait(s.ctx)
	require.NoError(t, err)
	require.Zero(t, code, asked.Log())
	require.Contains(t, asked.Log(), fmt.Sprintf("kept aside: %d rows, %d dead letters", lost-broken, broken))
	s.exact()
	kept := func(table string) int64 {
		return s.count("SELECT count() FROM "+table+" WHERE _topic_id = ? AND _partition = 0 AND _offset >= ?", cut.Kept, cut.End)
	}
	require.EqualValues(t, lost-broken, kept("logs"))
	require.EqualValues(t, broken, kept("dead_letters"))
	const serials = " FROM logs WHERE message LIKE 'serial %'"
	require.EqualValues(t, lost+fresh-2*broken, s.count("SELECT count()"+serials))
	require.EqualValues(t, lost+fresh-2*broken, s.count("SELECT uniqExact(message)"+serials), "each record once")

	require.NoError(t, s.Brokers[leader].Start(s.ctx))
	s.sendGood(500)
	s.exact()
	require.Contains(t, s.starter("resume", "--topic", load.Logs, "--yes"), "nothing to resume")
	require.EqualValues(t, lost, s.count("SELECT toUInt64(sum(last - first + 1)) FROM ingest_exceptions WHERE kind = 'truncated'"))
	for _, topic := range topics {
		require.NoError(t, s.Marked(s.ctx, topic))
	}
	s.clean(topics...)
	told := s.audit(0).Truncated
	require.Positive(t, told)
	require.LessOrEqual(t, told, int64(lost), "as far as the new records reach")
}

// partitionOnTwo has the topic's partition 0 on two brokers only, of which one may lead without what the other has. They are
// answered by their places among the brokers.
func (s *scene) partitionOnTwo(topic string) (leader, follower int) {
	s.t.Helper()
	adm := kadm.NewClient(s.Client)
	value := func(v string) *string { return &v }
	_, err := adm.AlterTopicConfigs(s.ctx, []kadm.AlterConfig{
		{Name: "unclean.leader.election.enable", Value: value("true")}, {Name: "min.insync.replicas", Value: value("1")},
	}, topic)
	require.NoError(s.t, err)
	var to kadm.AlterPartitionAssignmentsReq
	to.Assign(topic, 0, []int32{2, 3}) // the first broker is left to the group and the controllers
	answer, err := adm.AlterPartitionAssignments(s.ctx, to)
	require.NoError(s.t, err)
	require.NoError(s.t, answer.Error())
	s.until("the partition has moved", func() bool {
		p := s.partition(topic)
		return len(p.Replicas) == 2 && len(p.ISR) == 2 && p.Leader > 1
	})
	leader = int(s.partition(topic).Leader) - 1
	return leader, 3 - leader
}

// partition is the topic's first.
func (s *scene) partition(topic string) kadm.PartitionDetail {
	ts, err := kadm.NewClient(s.Client).ListTopics(s.ctx, topic)
	if err != nil {
		return kadm.PartitionDetail{}
	}
	return ts[topic].Partitions[0]
}

func (s *scene) until(what string, is func() bool) {
	s.t.Helper()
	require.NoError(s.t, s.Until(s.ctx, what, func(context.Context) (bool, string) { return is(), "" }))
}

// sendTo sends n logs to one partition, each with a message of its own; the last of them cannot be decoded.
func (s *scene) sendTo(partition int32, n, broken int) {
	s.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Seeds()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(s.t, err)
	defer cl.Close()
	var recs []*kgo.Record
	for i := range n {
		s.serial++
		value := fmt.Appendf(nil, `{"timestamp":%d,"level":"INFO","message":"serial %d"}`, time.Now().UnixMilli(), s.serial)
		if i >= n-broken {
			value = []byte(strings.Repeat("x", 20))
		}
		recs = append(recs, &kgo.Record{Topic: load.Logs, Partition: partition, Value: value})
	}
	require.NoError(s.t, cl.ProduceSync(s.ctx, recs...).FirstErr())
	s.sent.Good.Add(int64(n - broken))
	s.sent.Broken.Add(int64(broken))
}
