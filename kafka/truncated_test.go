package kafka

import (
	"hash/crc32"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/batch"
)

// planned reads a range that was planned under a leader epoch.
func (b *bench) planned(first, last int64, epoch int32) (n int, err error) {
	r := NewReader(b.cl)
	r.patience = 500 * time.Millisecond
	err = r.ReadPlanned(b.ctx, topic, b.id, batch.Range{First: first, Last: last}, epoch, func(recs []*kgo.Record) error {
		n += len(recs)
		return nil
	})
	return n, err
}

func TestRecordsThatTookTheOffsetsOfOthersAreNotRead(t *testing.T) {
	b := newBench(t)
	b.produce(t, 100)
	fake := b.c.Fake(t)
	require.NoError(t, fake.MoveTopicPartition(topic, 0, (fake.LeaderFor(topic, 0)+1)%3))
	b.produce(t, 50) // of epoch 1
	for name, c := range map[string]struct {
		first, last int64
		epoch       int32
		records     int
		cut         int64 // -1: none
	}{
		"planned before the election, below it":       {50, 99, 0, 50, -1},
		"planned before it, and others are behind":    {50, 120, 0, 50, 100},
		"planned before it, and all are others":       {110, 120, 0, 0, 100},
		"planned before it, behind the end":           {200, 220, 0, 0, 100},
		"planned after it":                            {50, 120, 1, 71, -1},
		"the epoch is not known":                      {50, 120, -1, 71, -1},
		"to the last of the epoch, with a small read": {99, 99, 0, 1, -1},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := b.planned(c.first, c.last, c.epoch)
			require.Equal(t, c.records, n)
			if c.cut < 0 {
				require.NoError(t, err)
				return
			}
			var torn *TruncatedError
			require.ErrorAs(t, err, &torn)
			require.Equal(t, TruncatedError{First: c.cut}, *torn)
		})
	}
}

// An end below the range says nothing while no newer leader says so too: a stale
// answer looks the same.
func TestAnEndBelowTheRangeAloneIsNoProof(t *testing.T) {
	b := newBench(t)
	b.produce(t, 10)
	_, err := b.planned(5, 20, 0)
	require.ErrorIs(t, err, ErrTruncated)
	var torn *TruncatedError
	require.NotErrorAs(t, err, &torn)
}

// A log that is older than Kafka 0.11 has messages without a leader epoch: what is in
// its place is a checksum.
func TestMessagesOfOldFormatsHaveNoEpoch(t *testing.T) {
	b := newBench(t)
	b.produce(t, 20)
	b.c.Fake(t).ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.c.Fake(t).KeepControl()
		asked := req.(*kmsg.FetchRequest)
		resp := asked.ResponseKind().(*kmsg.FetchResponse)
		rt, rp := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
		rt.TopicID, rp.HighWatermark, rp.LastStableOffset = asked.Topics[0].TopicID, 20, 20
		for o := asked.Topics[0].Partitions[0].FetchOffset; o < 20; o++ {
			rp.RecordBatches = append(rp.RecordBatches, oldMessage(o)...)
		}
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	n, err := b.planned(0, 19, 0)
	require.NoError(t, err)
	require.Equal(t, 20, n)
}

func oldMessage(offset int64) []byte {
	m := kmsg.MessageV1{Offset: offset, Magic: 1, Timestamp: 1, Value: []byte(strconv.FormatInt(offset, 10))}
	const head, crc = 12, 4 // offset and size; the checksum is of what follows it
	m.MessageSize = int32(len(m.AppendTo(nil)) - head)
	m.CRC = int32(crc32.ChecksumIEEE(m.AppendTo(nil)[head+crc:]))
	return m.AppendTo(nil)
}
