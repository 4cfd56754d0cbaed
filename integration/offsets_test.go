package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
)

// transactions is a producer of transactions, to partitions that its records name.
func (s *scene) transactions(id string) *kgo.Client {
	s.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Seeds()...), kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(s.t, err)
	s.t.Cleanup(cl.Close)
	return cl
}

// within sends n logs to the partition as a part of the transaction that is open.
func (s *scene) within(cl *kgo.Client, partition int32, n int) {
	s.t.Helper()
	var recs []*kgo.Record
	for range n {
		s.serial++
		recs = append(recs, &kgo.Record{Topic: load.Logs, Partition: partition, Value: fmt.Appendf(nil, `{"timestamp":%d,"level":"INFO","message":"serial %d"}`, time.Now().UnixMilli(), s.serial)})
	}
	require.NoError(s.t, cl.ProduceSync(s.ctx, recs...).FirstErr())
}

// ends commits the transaction, or aborts it.
func (s *scene) ends(cl *kgo.Client, how kgo.TransactionEndTry) {
	s.t.Helper()
	require.NoError(s.t, cl.EndTransaction(s.ctx, how))
}

// Two producers' transactions lie between each other; the last of each partition is aborted, so that its end is holes.
func TestCommittedTransactionsAreStoredAndAbortedOnesAreNowhere(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.transactions("a"), s.transactions("b")
	const rounds, each = 6, 50
	for i := range rounds {
		for p := range int32(2) {
			require.NoError(t, a.BeginTransaction())
			require.NoError(t, b.BeginTransaction())
			s.within(a, p, each)
			s.within(b, p, each)
			s.within(a, p, each)
			s.ends(b, i < rounds-1)
			s.ends(a, i%2 == 0) // the last one is aborted
			if i%2 == 0 {
				s.sent.Good.Add(2 * each)
			}
			if i < rounds-1 {
				s.sent.Good.Add(each)
			}
		}
		if i == 2 {
			s.worker.Kill()
			require.NoError(t, s.worker.Restart())
		}
	}
	s.sendGood(100)
	s.all()
	require.NoError(t, s.Marked(s.ctx, load.Logs))
	a0 := s.audit(0)
	const markers, aborted = 2 * 2 * rounds, 2 * (rounds/2*2*each + each)
	require.EqualValues(t, markers+aborted, a0.Holes)
	require.Zero(t, a0.Lost)
	require.Equal(t, a0.Offsets, a0.Stored+a0.Dead+a0.Holes)
}

// Nothing behind its first record is planned while a transaction hangs; the other partitions flow.
func TestATransactionThatHangsHoldsUpItsPartitionAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.sendTo(0, 100, 0)
	s.all()
	hangs := s.transactions("hangs")
	require.NoError(t, hangs.BeginTransaction())
	s.within(hangs, 0, 10)
	plain := s.sent.Good.Load()
	s.sendTo(0, 200, 0) // acknowledged, and behind the transaction
	s.sendTo(1, 300, 0)
	s.stored(plain + 300)
	require.NoError(t, s.Settled(s.ctx))
	require.EqualValues(t, 100, s.count("SELECT count() FROM logs WHERE _partition = 0"))
	require.EqualValues(t, 300, s.count("SELECT count() FROM logs WHERE _partition = 1"))
	s.ends(hangs, kgo.TryAbort)
	s.all()
	require.NoError(t, s.Marked(s.ctx, load.Logs))
	require.EqualValues(t, 11, s.audit(0).Holes)
}

// The topic's partitions become more while records are sent.
func TestPartitionsThatAreAddedUnderLoadAreReadFromTheirBeginning(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.sendTo(0, 500, 0)
	_, err := kadm.NewClient(s.Client).CreatePartitions(s.ctx, 3, load.Logs)
	require.NoError(t, err)
	s.until("the partitions are there", func() bool { return len(s.partitions(load.Logs)) == 7 })
	for p := range int32(7) {
		s.sendTo(p, 300, 5)
	}
	s.exact()
	require.EqualValues(t, 3*295, s.count("SELECT count() FROM logs WHERE _partition > 3"))
	require.NoError(t, s.Marked(s.ctx, load.Logs))
	s.clean(load.Logs)
}

// Somebody deletes records that were not read yet, while no consumer runs.
func TestRecordsDeletedPastAnUnreadOffsetAreLostAndCounted(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.sendTo(0, 100, 0)
	s.all()
	s.consumer.Kill()
	s.sendTo(0, 250, 0)
	to := kadm.Offsets{}
	to.AddOffset(load.Logs, 0, 180, -1)
	_, err := kadm.NewClient(s.Client).DeleteRecords(s.ctx, to)
	require.NoError(t, err)
	s.sent.Good.Add(-80) // 100 to 179
	require.NoError(t, s.consumer.Restart())
	s.all()
	require.EqualValues(t, 80, s.count("SELECT toUInt64(sum(last - first + 1)) FROM ingest_exceptions WHERE kind = 'lost'"))
	require.NoError(t, s.Marked(s.ctx, load.Logs))
	s.clean(load.Logs)
}

// Each topic of the name has its own rows, at the same offsets.
func TestATopicThatIsDeletedAndCreatedAgainUnderLoadIsCountedByItsID(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.sendTo(0, 400, 5)
	s.exact()
	adm := kadm.NewClient(s.Client)
	_, err := adm.DeleteTopic(s.ctx, load.Logs)
	require.NoError(t, err)
	s.until("the topic is gone", func() bool { return len(s.partitions(load.Logs)) == 0 })
	s.until("the topic is there again", func() bool {
		_, err := adm.CreateTopic(s.ctx, 4, -1, nil, load.Logs)
		return err == nil
	})
	s.until("it has leaders", func() bool {
		ends, err := adm.ListEndOffsets(s.ctx, load.Logs)
		return err == nil && ends.Error() == nil
	})
	s.sendTo(0, 300, 5)
	s.exact()
	require.EqualValues(t, 2, s.count("SELECT uniqExact(_topic_id) FROM logs"))
	require.EqualValues(t, 295, s.count("SELECT min(n) FROM (SELECT count() AS n FROM logs GROUP BY _topic_id)"))
	require.NoError(t, s.Marked(s.ctx, load.Logs))
	s.clean(load.Logs)
}

// partitions are those of the topic that have a leader.
func (s *scene) partitions(topic string) (out []int32) {
	ts, err := kadm.NewClient(s.Client).ListTopics(s.ctx, topic)
	if err != nil || ts[topic].Err != nil {
		return nil
	}
	for _, p := range ts[topic].Partitions {
		if p.Err == nil && p.Leader >= 0 {
			out = append(out, p.Partition)
		}
	}
	return out
}
