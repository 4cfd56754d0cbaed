package kafka

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/batch"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// stamped produces records in one batch whose timestamps are a minute apart, the first at noon.
func (b *bench) stamped(t *testing.T, n int) {
	t.Helper()
	var recs []*kgo.Record
	for i := range n {
		recs = append(recs, &kgo.Record{Value: []byte("x"), Timestamp: noon.Add(time.Duration(i) * time.Minute)})
	}
	require.NoError(t, b.cl.ProduceSync(b.ctx, recs...).FirstErr())
}

// first is where the first record of a range is, and how long after noon it was.
func (b *bench) first(t *testing.T, first, last int64) (int64, time.Duration) {
	t.Helper()
	offset, at, err := NewLookout(b.cl, topic).First(b.ctx, b.id, batch.Range{First: first, Last: last})
	require.NoError(t, err)
	if at.IsZero() {
		return offset, -1
	}
	return offset, at.Sub(noon)
}

func TestTheFirstRecordIsTheOneAtTheOffset(t *testing.T) {
	b := newBench(t)
	b.stamped(t, 60)
	for _, o := range []int64{0, 1, 30, 59} {
		offset, after := b.first(t, o, 59)
		require.Equal(t, o, offset)
		require.Equal(t, time.Duration(o)*time.Minute, after, "of a record in the middle of its batch, too")
	}
}

func TestTheFirstRecordIsBehindHolesOfTransactions(t *testing.T) {
	b := newBench(t, kgo.TransactionalID("x"))
	for range 3 {
		require.NoError(t, b.cl.BeginTransaction())
		b.stamped(t, 10)
		require.NoError(t, b.cl.EndTransaction(b.ctx, kgo.TryAbort))
	}
	require.NoError(t, b.cl.BeginTransaction())
	b.stamped(t, 10)
	require.NoError(t, b.cl.EndTransaction(b.ctx, kgo.TryCommit))

	offset, after := b.first(t, 0, 43)
	require.EqualValues(t, 33, offset, "three aborted ones and their markers")
	require.Zero(t, after)
	offset, after = b.first(t, 38, 43)
	require.EqualValues(t, 38, offset)
	require.Equal(t, 5*time.Minute, after)
	offset, after = b.first(t, 43, 43)
	require.EqualValues(t, 44, offset, "a marker is no record")
	require.EqualValues(t, -1, after)
	offset, after = b.first(t, 0, 32)
	require.EqualValues(t, 33, offset)
	require.EqualValues(t, -1, after, "what is behind the range does not count")
}

func TestTheFirstRecordIsTheFirstThatIsLeft(t *testing.T) {
	b := newBench(t)
	b.stamped(t, 50)
	os := kadm.Offsets{}
	os.AddOffset(topic, 0, 40, -1)
	_, err := b.adm.DeleteRecords(b.ctx, os)
	require.NoError(t, err)
	offset, after := b.first(t, 10, 49)
	require.EqualValues(t, 40, offset)
	require.Equal(t, 40*time.Minute, after)
	_, _, err = NewLookout(b.cl, topic).First(b.ctx, b.id, batch.Range{First: 10, Last: 39})
	var lost *LostError
	require.ErrorAs(t, err, &lost)
}

func TestTheFirstRecordBehindWhatCompactionRemoved(t *testing.T) {
	b := newBench(t)
	var configs []kadm.AlterConfig
	for name, v := range map[string]string{"cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01"} {
		configs = append(configs, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &v})
	}
	_, err := b.adm.AlterTopicConfigs(b.ctx, configs, topic)
	require.NoError(t, err)
	keyed := func(key byte, at time.Time) {
		require.NoError(t, b.cl.ProduceSync(b.ctx, &kgo.Record{Key: []byte{key}, Value: []byte("x"), Timestamp: at}).FirstErr())
	}
	for i := range 12 { // each of three keys again: only the last of each stays
		keyed(byte(i%3), noon.Add(time.Duration(i)*time.Minute))
	}
	require.Eventually(t, func() bool {
		keyed('r', time.Now()) // rolls the segment: what is written to is not compacted
		if !b.c.Real() {
			b.c.Fake(t).Compact()
		}
		offset, after := b.first(t, 0, 12)
		return offset == 9 && after == 9*time.Minute
	}, 45*time.Second, 200*time.Millisecond)
}

func TestALookIsOneSmallFetchAndFollowsTheLeader(t *testing.T) {
	b := newBench(t)
	b.stamped(t, 20)
	fake := b.c.Fake(t)
	var fetches, largest, asked atomic.Int32
	fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		fetches.Add(1)
		largest.Store(max(largest.Load(), req.(*kmsg.FetchRequest).MaxBytes))
		return nil, nil, false
	})
	fake.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	l := NewLookout(b.cl, topic)
	for o := range int64(5) {
		offset, _, err := l.First(b.ctx, b.id, batch.Range{First: o, Last: 19})
		require.NoError(t, err)
		require.Equal(t, o, offset)
	}
	require.EqualValues(t, 5, fetches.Load())
	require.EqualValues(t, minFetch, largest.Load())
	require.EqualValues(t, 1, asked.Load(), "the leader is looked up once")
	require.NoError(t, fake.MoveTopicPartition(topic, 0, (fake.LeaderFor(topic, 0)+1)%3))
	require.Eventually(t, func() bool {
		offset, _, err := l.First(b.ctx, b.id, batch.Range{First: 7, Last: 19})
		return err == nil && offset == 7
	}, 10*time.Second, 50*time.Millisecond)
}
