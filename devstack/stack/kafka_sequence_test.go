//go:build unix

package stack_test

import (
	"errors"
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// producer sends batches of one record as an idempotent producer does.
type producer struct {
	*kgo.Client
	id    int64
	epoch int16
}

func idempotent(t *testing.T, c *kgo.Client) producer {
	t.Helper()
	answer, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(t.Context(), c)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(answer.ErrorCode))
	return producer{c, answer.ProducerID, answer.ProducerEpoch}
}

// send answers the offset of the record with the sequence number. A broker that has just started may say for a moment that it does
// not lead yet.
func (p producer) send(t *testing.T, sequence int32) (offset int64, err error) {
	t.Helper()
	require.Eventually(t, func() bool {
		offset, err = p.try(t, sequence)
		return !errors.Is(err, kerr.NotLeaderForPartition)
	}, 30*time.Second, 50*time.Millisecond)
	return offset, err
}

func (p producer) try(t *testing.T, sequence int32) (int64, error) {
	t.Helper()
	record := kmsg.NewRecord()
	record.Value = []byte("once")
	record.Length = int32(len(record.AppendTo(nil)) - 1) //nolint:gosec // a few bytes; its own length takes one
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, ProducerID: p.id, ProducerEpoch: p.epoch, FirstSequence: sequence,
		NumRecords: 1, Records: record.AppendTo(nil),
		FirstTimestamp: time.Now().UnixMilli(), // Apache Kafka forgets a producer whose last record is older than a day
	}
	b.MaxTimestamp = b.FirstTimestamp
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12) //nolint:gosec // a few bytes
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[21:], crc32.MakeTable(crc32.Castagnoli)))
	request := kmsg.NewPtrProduceRequest()
	request.Acks = -1
	to := kmsg.NewProduceRequestTopicPartition()
	to.Partition, to.Records = 1, b.AppendTo(nil)
	request.Topics = []kmsg.ProduceRequestTopic{{Topic: logs, TopicID: topic(t, p.Client, logs).TopicID, Partitions: []kmsg.ProduceRequestTopicPartition{to}}}
	answer, err := request.RequestWith(t.Context(), p.Client)
	require.NoError(t, err)
	require.Len(t, answer.Topics, 1)
	got := answer.Topics[0].Partitions[0]
	return got.BaseOffset, kerr.ErrorForCode(got.ErrorCode)
}

func (p producer) sent(t *testing.T, sequence int32, offset int64) {
	t.Helper()
	got, err := p.send(t, sequence)
	require.NoError(t, err)
	require.Equal(t, offset, got)
}

// A producer whose answer was lost sends again: over SIGKILL, and over an orderly end before it, the broker knows what it has.
func TestKafkaKnowsOverSIGKILLWhatAProducerHasSent(t *testing.T) {
	s := kafka(t)
	p := idempotent(t, client(t, s))
	for i := range int32(3) {
		p.sent(t, i, int64(i))
	}
	require.NoError(t, s.Restart(t.Context()))
	for i := range int32(4) {
		p.sent(t, 3+i, int64(3+i))
	}
	other := idempotent(t, p.Client)
	other.sent(t, 0, 7)
	first := int32(2) // of as many as a producer has under way
	if names()[0] == stack.ApacheKafkaName {
		first = 6 // its snapshots have only the last one
	}
	for range 2 {
		replaced(t, s)
		for sequence := first; sequence <= 6; sequence++ {
			p.sent(t, sequence, int64(sequence))
		}
		other.sent(t, 0, 7)
		_, err := p.send(t, 8)
		require.ErrorIs(t, err, kerr.OutOfOrderSequenceNumber)
	}
	p.sent(t, 7, 8)
}
