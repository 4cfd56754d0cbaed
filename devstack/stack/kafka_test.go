//go:build unix

package stack_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/devstack/stack"
)

const logs = "ai_backlog_logs"

// kafka is the one that was chosen.
func kafka(t *testing.T) *stack.Server {
	t.Helper()
	s, err := stack.New(binaries(t), t.TempDir(), names()[0])
	require.NoError(t, err)
	return running(t, s.Kafka, err)
}

func client(t *testing.T, s *stack.Server, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(s.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// topic asks the broker itself: a client may answer from its cache.
func topic(t *testing.T, c *kgo.Client, name string) kmsg.MetadataResponseTopic {
	t.Helper()
	request := kmsg.NewPtrMetadataRequest()
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = kmsg.StringPtr(name)
	request.Topics = append(request.Topics, wanted)
	request.AllowAutoTopicCreation = true
	answer, err := request.RequestWith(t.Context(), c)
	require.NoError(t, err)
	require.Len(t, answer.Topics, 1)
	return answer.Topics[0]
}

func create(t *testing.T, c *kgo.Client, name string) {
	t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = name, 2, 1
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(t.Context(), c)
	require.NoError(t, err)
	require.Len(t, answer.Topics, 1)
	require.NoError(t, kerr.ErrorForCode(answer.Topics[0].ErrorCode))
	eventually(t, "the broker knows what the controller has made", func() bool { return topic(t, c, name).ErrorCode == 0 })
}

func TestKafkaHasTheTopicsAndMakesNoOthersUnasked(t *testing.T) {
	c := client(t, kafka(t))
	for _, name := range []string{logs, "ai_backlog_metrics", "ai_backlog_events"} {
		require.Len(t, topic(t, c, name).Partitions, 4)
	}
	require.ErrorIs(t, kerr.ErrorForCode(topic(t, c, logs+"_dlq").ErrorCode), kerr.UnknownTopicOrPartition)
	create(t, c, logs+"_dlq")
	require.Len(t, topic(t, c, logs+"_dlq").Partitions, 2)
}

func TestKafkaKeepsRecordsTopicIDsAndOffsetsOverSIGKILL(t *testing.T) {
	s := kafka(t)
	c := client(t, s)
	create(t, c, logs+"_dlq")
	before := topic(t, c, logs).TopicID
	dlq := topic(t, c, logs+"_dlq").TopicID
	require.NotZero(t, before)
	record := &kgo.Record{Topic: logs, Partition: 2, Value: []byte("kept")}
	require.NoError(t, c.ProduceSync(t.Context(), record).FirstErr())
	commit(t, c, 1, "bookmark")
	for range 2 {
		replaced(t, s)
		require.Equal(t, before, topic(t, c, logs).TopicID)
		require.Equal(t, dlq, topic(t, c, logs+"_dlq").TopicID)
		offset, metadata := committed(t, c)
		require.EqualValues(t, 1, offset)
		require.Equal(t, "bookmark", metadata)
	}
	from := map[string]map[int32]kgo.Offset{logs: {2: kgo.NewOffset().AtStart()}}
	fetches := client(t, s, kgo.ConsumePartitions(from)).PollFetches(t.Context())
	require.NoError(t, fetches.Err())
	require.Equal(t, 1, fetches.NumRecords())
	require.Equal(t, "kept", string(fetches.Records()[0].Value))
}

func commit(t *testing.T, c *kgo.Client, offset int64, metadata string) {
	t.Helper()
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group, request.Generation = "ingest", -1
	partition := kmsg.NewOffsetCommitRequestTopicPartition()
	partition.Partition, partition.Offset, partition.Metadata = 2, offset, kmsg.StringPtr(metadata)
	request.Topics = []kmsg.OffsetCommitRequestTopic{{
		Topic: logs, TopicID: topic(t, c, logs).TopicID, Partitions: []kmsg.OffsetCommitRequestTopicPartition{partition},
	}}
	answer, err := request.RequestWith(t.Context(), c)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode))
}

func committed(t *testing.T, c *kgo.Client) (int64, string) {
	t.Helper()
	request := kmsg.NewPtrOffsetFetchRequest()
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = "ingest"
	wanted := kmsg.NewOffsetFetchRequestGroupTopic()
	wanted.Topic, wanted.TopicID, wanted.Partitions = logs, topic(t, c, logs).TopicID, []int32{2}
	group.Topics = append(group.Topics, wanted)
	request.Groups = append(request.Groups, group)
	answer, err := request.RequestWith(t.Context(), c)
	require.NoError(t, err)
	require.Len(t, answer.Groups, 1)
	require.Len(t, answer.Groups[0].Topics, 1)
	p := answer.Groups[0].Topics[0].Partitions[0]
	require.NoError(t, kerr.ErrorForCode(p.ErrorCode))
	return p.Offset, *p.Metadata
}

// A proxy between clients and the broker needs this: a client goes to what the broker advertises, whatever it asked first.
func TestKafkaAdvertisesAnotherAddress(t *testing.T) {
	port, release, err := stack.ReservePort() // nobody listens there
	require.NoError(t, err)
	t.Cleanup(release)
	elsewhere := fmt.Sprintf("127.0.0.1:%d", port)
	start := stack.Kafka
	if names()[0] == stack.ApacheKafkaName {
		start = stack.ApacheKafka
	}
	s, err := start(stack.KafkaOptions{Binaries: binaries(t), Dir: t.TempDir(), Advertise: elsewhere})
	s = running(t, s, err)
	require.Equal(t, elsewhere, advertises(t, s))
	c := client(t, s, stack.Direct(s.Addr(), elsewhere))
	require.NoError(t, c.ProduceSync(t.Context(), &kgo.Record{Topic: logs, Value: []byte("past it")}).FirstErr())
	require.NoError(t, s.Kill())
	require.NoError(t, s.Start(t.Context()), "it is asked past it, too")
}

// advertises is the address of the only broker.
func advertises(t *testing.T, s *stack.Server) string {
	t.Helper()
	answer, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client(t, s))
	require.NoError(t, err)
	require.Len(t, answer.Brokers, 1)
	return fmt.Sprintf("%s:%d", answer.Brokers[0].Host, answer.Brokers[0].Port)
}
