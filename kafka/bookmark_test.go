package kafka

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka/kafkatest"
)

func TestTheBookmarkIsWrittenForAllPartitions(t *testing.T) {
	c := kafkatest.New(t, 5, []string{"a"})
	m := join(t, c, "a")
	other := join(t, c, "a") // owns some of the partitions
	require.Eventually(t, func() bool {
		return members(t, m) == 2 && (m.Holds("a") != 0) != (other.Holds("a") != 0)
	}, patient, often)
	if m.Holds("a") == 0 {
		m = other
	}
	id, _, err := Logs(t.Context(), m.Client, "a")
	require.NoError(t, err)
	want := map[int32]Committed{}
	for p := range int32(4) { // and none for partition 4
		want[p] = Committed{Offset: int64(10 * p), Metadata: "bookmark"}
	}
	require.Eventually(t, func() bool { return m.Commit(t.Context(), "a", m.Holds("a"), id, want) == nil }, patient, often)
	got, err := m.Fetch(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// Brokers refuse an OffsetCommit that is larger than a message of their offsets
// topic.
func TestABookmarkOfManyPartitionsIsSeveralRequests(t *testing.T) {
	const partitions = 2500
	c := fake(t, kfake.SeedTopics(partitions, "a"))
	m := join(t, c, "a")
	a := holding(t, m, "a")
	id, _, err := Logs(t.Context(), m.Client, "a")
	require.NoError(t, err)
	want := map[int32]Committed{}
	for p := range int32(partitions) {
		want[p] = Committed{Offset: int64(p), Metadata: strings.Repeat("x", 450)}
	}
	var requests, largest atomic.Int64
	c.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		requests.Add(1)
		largest.Store(max(largest.Load(), int64(len(r.AppendTo(nil)))))
		return nil, nil, false
	})
	require.NoError(t, m.Commit(t.Context(), "a", a, id, want))
	require.Less(t, largest.Load(), int64(900_000))
	require.LessOrEqual(t, requests.Load(), int64(10))
	got, err := m.Fetch(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestAStaleCommitChangesNothing(t *testing.T) {
	c := fake(t, kfake.SeedTopics(2, "a"))
	m := join(t, c, "a")
	holding(t, m, "a")
	id, _, err := Logs(t.Context(), m.Client, "a")
	require.NoError(t, err)
	first := map[int32]Committed{0: {1, "x"}, 1: {2, "y"}}
	require.NoError(t, m.Commit(t.Context(), "a", m.Holds("a"), id, first))

	c.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		r.(*kmsg.OffsetCommitRequest).Generation--
		return nil, nil, false
	})
	err = m.Commit(t.Context(), "a", m.Holds("a"), id, map[int32]Committed{0: {9, "z"}, 1: {9, "z"}})
	require.ErrorIs(t, err, kerr.IllegalGeneration)

	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: "a", Partitions: []int32{1}, Err: kerr.OffsetMetadataTooLarge})
	err = m.Commit(t.Context(), "a", m.Holds("a"), id, first)
	require.ErrorIs(t, err, kerr.OffsetMetadataTooLarge)
	require.ErrorContains(t, err, "a/1")

	got, err := m.Fetch(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, first, got)
}

// A round of the planner hangs; the group empties, and an operator resets it.
func TestACommitOfAnAssignmentThatIsOverIsRefused(t *testing.T) {
	c := fake(t, kfake.SeedTopics(1, "a"))
	m := join(t, c, "a")
	a := holding(t, m, "a")
	id, _, err := Logs(t.Context(), m.Client, "a")
	require.NoError(t, err)
	require.NoError(t, m.Commit(t.Context(), "a", a, id, map[int32]Committed{0: {90, "planner"}}))
	away := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat, kmsg.JoinGroup}, Group: "g", TopLevel: true, Count: -1})
	require.Eventually(t, func() bool { g := c.GroupInfo("g"); return g != nil && len(g.Members) == 0 }, patient, often)
	reset := kadm.Offsets{}
	reset.AddOffset("a", 0, 10, -1)
	require.NoError(t, kadm.NewClient(m.Client).CommitAllOffsets(t.Context(), "g", reset))
	away.Remove()
	require.Eventually(t, func() bool { return m.Holds("a") > a }, patient, often)
	require.ErrorContains(t, m.Commit(t.Context(), "a", a, id, map[int32]Committed{0: {90, "planner"}}), "is over")
	got, err := m.Fetch(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 10, got[0].Offset, "the operator's reset")
	require.NoError(t, m.Commit(t.Context(), "a", m.Holds("a"), id, map[int32]Committed{0: {20, "planner"}}))
}

func TestACommitForADeletedTopicIsRefused(t *testing.T) {
	c := kafkatest.New(t, 1, []string{"a"})
	m := join(t, c, "a")
	holding(t, m, "a")
	id, _, err := Logs(t.Context(), m.Client, "a")
	require.NoError(t, err)
	adm := kadm.NewClient(m.Client)
	_, err = adm.DeleteTopic(t.Context(), "a")
	require.NoError(t, err)
	_, err = adm.CreateTopic(t.Context(), 1, 1, nil, "a")
	require.NoError(t, err)
	require.Error(t, m.Commit(t.Context(), "a", m.Holds("a"), id, map[int32]Committed{0: {7, "old"}}))
	got, err := m.Fetch(t.Context(), "a")
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestLogsEndAtTheLastStableOffset(t *testing.T) {
	b := newBench(t, kgo.TransactionalID("x"))
	require.NoError(t, b.cl.BeginTransaction())
	b.produce(t, 10)
	id, logs, err := Logs(b.ctx, b.cl, topic)
	require.NoError(t, err)
	require.Equal(t, b.id, id)
	require.Zero(t, logs[0].End, "the transaction is open")
	os := kadm.Offsets{}
	os.AddOffset(topic, 0, 4, -1)
	_, err = b.adm.DeleteRecords(b.ctx, os)
	require.NoError(t, err)
	_, logs, err = Logs(b.ctx, b.cl, topic)
	require.NoError(t, err)
	require.EqualValues(t, 4, logs[0].First)
	require.EqualValues(t, 4, logs[0].End, "an end before the beginning: a planner would lose the same records again and again")
	require.NoError(t, b.cl.EndTransaction(b.ctx, kgo.TryCommit))
	require.Eventually(t, func() bool { // the marker is written a moment after the answer
		_, logs, err = Logs(b.ctx, b.cl, topic)
		return err == nil && logs[0].End == 11 // ten records and the marker
	}, patient, often)
	require.EqualValues(t, 4, logs[0].First)
	require.GreaterOrEqual(t, logs[0].Epoch, int32(0))
}

// Brokers before 2.8, or with an older inter.broker.protocol.version.
func TestATopicWithoutAnIDIsRefused(t *testing.T) {
	c := fake(t, kfake.SeedTopics(1, "a"), kfake.MaxVersions(kversion.V2_7_0()))
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	_, _, err = Logs(t.Context(), cl, "a")
	require.ErrorIs(t, err, ErrNoTopicID)
	require.ErrorContains(t, err, "inter.broker.protocol.version")
	r := NewReader(cl)
	r.patience = time.Second
	err = r.Read(t.Context(), "a", batch.TopicID{}, batch.Range{First: 0, Last: 0}, func([]*kgo.Record) error { return nil })
	require.ErrorIs(t, err, ErrNoTopicID)
}

func TestATopicCreatedAgainWhileItIsListedIsAnError(t *testing.T) {
	b := newBench(t)
	b.produce(t, 10)
	b.c.Fake(t).ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.c.Fake(t).SleepControl(func() {
			_ = b.c.Fake(t).DeleteTopic(topic)
			_ = b.c.Fake(t).CreateTopic(topic, 1, nil)
		})
		b.c.Fake(t).DropControl()
		return nil, nil, false
	})
	_, _, err := Logs(b.ctx, b.cl, topic)
	require.Error(t, err)
	id, _, err := Logs(b.ctx, b.cl, topic)
	require.NoError(t, err)
	require.NotEqual(t, b.id, id)
}

func TestAnEpochThatIsNotAnsweredIsAnError(t *testing.T) {
	c := fake(t, kfake.SeedTopics(2, "a"))
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RequestRetries(1))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	ask := func(epoch int32) (map[int32]int64, error) {
		return EpochEnds(t.Context(), cl, "a", []batch.Position{{Partition: 0, Offset: 10, Epoch: epoch}, {Partition: 1, Epoch: -1}})
	}
	ends, err := ask(0)
	require.NoError(t, err)
	require.Equal(t, map[int32]int64{0: 0}, ends)
	ends, err = ask(100)
	require.NoError(t, err)
	require.Empty(t, ends, "the leader does not know that epoch, and says so")
	for _, e := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.UnknownServerError} {
		h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetForLeaderEpoch}, Topic: "a", Err: e, Count: -1})
		_, err := ask(0)
		require.Positive(t, h.Hits())
		require.ErrorIs(t, err, e)
		h.Remove()
	}
}
