package kafka

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka/kafkatest"
)

const topic = "t"

// bench is a broker with one topic of one partition.
type bench struct {
	c   *kafkatest.Broker
	cl  *kgo.Client
	adm *kadm.Client
	id  batch.TopicID
	ctx context.Context //nolint:containedctx // the test's
}

func newBench(t *testing.T, opts ...kgo.Opt) *bench {
	t.Helper()
	c := kafkatest.New(t, 1, []string{topic}, kfake.NumBrokers(3), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000000"}))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(16<<20), kgo.MaxBufferedRecords(1<<20))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	b := &bench{c: c, cl: cl, adm: kadm.NewClient(cl), ctx: ctx}
	b.id, _, err = Logs(ctx, cl, topic)
	require.NoError(t, err)
	return b
}

func (b *bench) produce(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		b.cl.Produce(b.ctx, &kgo.Record{Value: []byte(strconv.Itoa(i))}, func(_ *kgo.Record, err error) { require.NoError(t, err) })
		if i%37 == 0 {
			require.NoError(t, b.cl.Flush(b.ctx))
		}
	}
	require.NoError(t, b.cl.Flush(b.ctx))
}

// read is the offsets of a range, which must come in order.
func (b *bench) read(t *testing.T, first, last int64) ([]int64, error) {
	t.Helper()
	var got []int64
	r := NewReader(b.cl)
	r.patience = 500 * time.Millisecond
	err := r.Read(b.ctx, topic, b.id, batch.Range{First: first, Last: last}, func(recs []*kgo.Record) error {
		for _, r := range recs {
			if n := len(got); n > 0 {
				require.Greater(t, r.Offset, got[n-1])
			}
			got = append(got, r.Offset)
		}
		return nil
	})
	return got, err
}

func TestReadIsExact(t *testing.T) {
	b := newBench(t)
	b.produce(t, 1000)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		first := rng.Int64N(1000)
		last := first + rng.Int64N(1000-first)
		got, err := b.read(t, first, last)
		require.NoError(t, err)
		require.Len(t, got, int(last-first+1))
		require.Equal(t, first, got[0])
		require.Equal(t, last, got[len(got)-1])
	}
}

func TestReadPassesHolesOfTransactions(t *testing.T) {
	b := newBench(t, kgo.TransactionalID("x"))
	want := map[int64]bool{}
	next := int64(0)
	for round := range 20 {
		require.NoError(t, b.cl.BeginTransaction())
		b.produce(t, 10)
		commit := round%2 == 0
		require.NoError(t, b.cl.EndTransaction(b.ctx, kgo.TransactionEndTry(commit)))
		for o := next; o < next+10 && commit; o++ {
			want[o] = true
		}
		next += 11 // and the marker
	}
	got, err := b.read(t, 0, next-1)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for _, o := range got {
		require.True(t, want[o], "offset %d was aborted", o)
	}
	got, err = b.read(t, 11, 21) // an aborted transaction and its marker
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestDeletedRecordsAreLost(t *testing.T) {
	b := newBench(t)
	b.produce(t, 100)
	os := kadm.Offsets{}
	os.AddOffset(topic, 0, 40, -1)
	_, err := b.adm.DeleteRecords(b.ctx, os)
	require.NoError(t, err)
	_, err = b.read(t, 10, 99)
	var lost *LostError
	require.ErrorAs(t, err, &lost)
	require.Equal(t, LostError{Partition: 0, First: 10, Start: 40}, *lost)
	got, err := b.read(t, 40, 99)
	require.NoError(t, err)
	require.Len(t, got, 60)
}

func TestATopicCreatedAgainIsGone(t *testing.T) {
	b := newBench(t)
	b.produce(t, 10)
	_, err := b.adm.DeleteTopic(b.ctx, topic)
	require.NoError(t, err)
	_, err = b.adm.CreateTopic(b.ctx, 1, 1, nil, topic)
	require.NoError(t, err)
	b.cl.PurgeTopicsFromClient(topic)
	b.produce(t, 10)
	got, err := b.read(t, 0, 9)
	require.ErrorIs(t, err, ErrTopicGone)
	require.Empty(t, got, "records of another topic")
}

func TestARecordLargerThanAFetch(t *testing.T) {
	b := newBench(t)
	big := make([]byte, fetchBytes+1<<20)
	require.NoError(t, b.cl.ProduceSync(b.ctx, &kgo.Record{Value: []byte("a")}, &kgo.Record{Value: big}, &kgo.Record{Value: []byte("b")}).FirstErr())
	got, err := b.read(t, 0, 2)
	require.NoError(t, err)
	require.Equal(t, []int64{0, 1, 2}, got)
}

func TestAnErrorOfTheReceiverEndsTheRead(t *testing.T) {
	b := newBench(t)
	b.produce(t, 10)
	calls := 0
	err := NewReader(b.cl).Read(b.ctx, topic, b.id, batch.Range{Last: 9}, func([]*kgo.Record) error {
		calls++
		return context.DeadlineExceeded
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 1, calls)
}

func TestReadFollowsTheLeader(t *testing.T) {
	b := newBench(t)
	b.produce(t, 1000)
	was := b.c.Fake(t).LeaderFor(topic, 0)
	r := NewReader(b.cl)
	var got []int64
	err := r.Read(b.ctx, topic, b.id, batch.Range{Last: 999}, func(recs []*kgo.Record) error {
		for _, rec := range recs {
			got = append(got, rec.Offset)
		}
		return nil
	})
	require.NoError(t, err)
	require.Len(t, got, 1000)
	require.NoError(t, b.c.Fake(t).MoveTopicPartition(topic, 0, (was+1)%3))
	again, err := b.read(t, 0, 999)
	require.NoError(t, err)
	require.Equal(t, got, again)
}

func TestReadOutlivesALeaderThatMovesOrDiesMeanwhile(t *testing.T) {
	b := newBench(t)
	b.produce(t, 3000)
	// Small responses, so that the range takes many fetches.
	next := int64(0)
	fetches := 0
	b.c.Fake(t).ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.c.Fake(t).KeepControl()
		f := req.(*kmsg.FetchRequest)
		f.MaxBytes, f.Topics[0].Partitions[0].PartitionMaxBytes = 500, 500
		fetches++
		return nil, nil, false
	})
	r := NewReader(b.cl)
	moved, died := false, false
	err := r.Read(b.ctx, topic, b.id, batch.Range{Last: 2999}, func(recs []*kgo.Record) error {
		for _, rec := range recs {
			require.Equal(t, next, rec.Offset)
			next++
		}
		leader := b.c.Fake(t).LeaderFor(topic, 0)
		switch {
		case !moved && next > 500:
			moved = true
			require.NoError(t, b.c.Fake(t).MoveTopicPartition(topic, 0, (leader+1)%3))
		case !died && next > 1500:
			died = true
			require.NoError(t, b.c.Fake(t).RemoveNode(leader))
			if b.c.Fake(t).LeaderFor(topic, 0) < 0 || b.c.Fake(t).LeaderFor(topic, 0) == leader {
				require.NoError(t, b.c.Fake(t).MoveTopicPartition(topic, 0, (leader+1)%3))
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 3000, next)
	require.True(t, moved && died)
	require.Greater(t, fetches, 10)
}

func TestABrokerThatLagsBehindDoesNotMakeATopicGone(t *testing.T) {
	b := newBench(t)
	b.produce(t, 10)
	b.c.Fake(t).Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Err: kerr.UnknownTopicOrPartition, Count: 2},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownTopicID, Count: 1},
	)
	r := NewReader(b.cl)
	n := 0
	require.NoError(t, r.Read(b.ctx, topic, b.id, batch.Range{Last: 9}, func(recs []*kgo.Record) error { n += len(recs); return nil }))
	require.Equal(t, 10, n)
}

func TestADeletedTopicIsGone(t *testing.T) {
	b := newBench(t)
	b.produce(t, 10)
	_, err := b.adm.DeleteTopic(b.ctx, topic)
	require.NoError(t, err)
	_, err = b.read(t, 0, 9)
	require.ErrorIs(t, err, ErrTopicGone)
}

func TestARangeBehindTheEndIsTruncatedAndAskedForWithoutHaste(t *testing.T) {
	b := newBench(t)
	b.produce(t, 10)
	seen := b.c.Fake(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
	got, err := b.read(t, 5, 20)
	require.ErrorIs(t, err, ErrTruncated)
	require.Len(t, got, 5)
	require.Less(t, seen.Hits(), 10, "a busy loop")
	_, err = b.read(t, 15, 20)
	require.ErrorIs(t, err, ErrTruncated)
}

func TestASmallRangeOfALongLogIsReadByASmallFetch(t *testing.T) {
	b := newBench(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	value := make([]byte, 1000)
	for range 4000 {
		b.cl.Produce(b.ctx, &kgo.Record{Value: value}, nil)
		if b.cl.BufferedProduceRecords() > 50 {
			require.NoError(t, b.cl.Flush(b.ctx))
		}
	}
	require.NoError(t, b.cl.Flush(b.ctx))
	var asked []int32
	b.c.Fake(t).ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.c.Fake(t).KeepControl()
		asked = append(asked, req.(*kmsg.FetchRequest).MaxBytes)
		return nil, nil, false
	})
	r := NewReader(b.cl)
	n := 0
	each := func(recs []*kgo.Record) error { n += len(recs); return nil }
	for first := int64(0); first < 4000; first += 200 {
		require.NoError(t, r.Read(b.ctx, topic, b.id, batch.Range{First: first, Last: first + 199}, each))
	}
	require.Equal(t, 4000, n)
	require.EqualValues(t, fetchBytes, asked[0], "nothing is known yet")
	for _, size := range asked[1:] {
		require.Less(t, size, int32(400<<10), "200 records of 1 KB")
	}
	require.Less(t, len(asked), 60)
}

func TestCompressedBatchesAreReadExactly(t *testing.T) {
	for name, codec := range map[string]kgo.CompressionCodec{"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, kgo.ProducerBatchCompression(codec))
			b.produce(t, 300)
			got, err := b.read(t, 17, 233)
			require.NoError(t, err)
			require.Len(t, got, 217)
			require.EqualValues(t, 17, got[0])
		})
	}
}

func TestAResponseIsDecodedBatchByBatch(t *testing.T) {
	b := newBench(t, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	const records, size = 60, 1 << 20
	value := bytes.Repeat([]byte("x"), size) // 60 MiB that fit into one response of some KiB
	for range records {
		b.cl.Produce(b.ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) { require.NoError(t, err) })
		require.NoError(t, b.cl.Flush(b.ctx)) // a batch each
	}
	r := NewReader(b.cl)
	calls, most := 0, 0
	require.NoError(t, r.Read(b.ctx, topic, b.id, batch.Range{Last: records - 1}, func(recs []*kgo.Record) error {
		calls, most = calls+1, max(most, len(recs))
		return nil
	}))
	require.Equal(t, records, calls)
	require.Equal(t, 1, most)
}
