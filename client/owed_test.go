package client

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/record"
)

func TestWhileTheRecordThatTriesKafkaIsOnItsWayTheOthersGoOn(t *testing.T) {
	s := newStand(t, func(c *Config) { c.FallbackAfter = 3 * time.Second })
	s.store(1)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	s.brokers.ControlKey(kmsg.Produce.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.brokers.KeepControl()
		req, _ := r.(*kmsg.ProduceRequest)
		return answering(req, kerr.NotEnoughReplicas.Code), nil, true // all else is answered well
	})
	s.store(1)
	s.until("kafka is given up", func(st Stats) bool { return st.Away })
	l := s.c.lanes[record.Log]
	tries := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.now.records == 1
	}
	require.Eventually(t, func() bool { s.store(1); return tries() }, 20*time.Second, 10*time.Millisecond)
	began := time.Now()
	for time.Since(began) < 4*time.Second {
		s.store(100)
		stored := len(s.stored) - 2
		require.Eventually(t, func() bool { return s.c.Stats().Direct >= int64(stored) }, 2*directLinger, 10*time.Millisecond, "%+v", s.c.Stats())
	}
	s.brokers.ControlKey(kmsg.Produce.Int16(), nil)
}

func TestKafkaIsNotGivenUpForWhatItIsNotOwed(t *testing.T) {
	s := newStand(t)
	s.click.cut()
	s.store(1)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	id := uuid.Must(uuid.NewV7())
	value := `{"timestamp":1,"level":"INFO","message":"too large once","event_id":"` + id.String() + `"}`
	s.c.buffer.told = func(record.Kind) {}
	require.NoError(t, s.c.StoreJSON(t.Context(), record.Log, "", []byte(value)))
	it := s.c.buffer.take(record.Log, make([]item, 0, 1), 1)[0]
	it.noKafka = true
	s.c.buffer.back(it)
	require.Zero(t, s.c.buffer.waiting(record.Log))
	s.until("clickhouse is tried", func(Stats) bool { return strings.Contains(s.log.String(), "clickhouse does not take") })
	require.Never(t, func() bool { return s.c.Stats().Away }, 2*time.Second, 100*time.Millisecond)
}

func TestAClockThatIsSetBackHoldsNothingUp(t *testing.T) {
	b := newBuffer(1<<20, func(record.Kind) {})
	now := time.Now()
	require.NoError(t, b.put(t.Context(), item{kind: record.Log}))
	b.lots[record.Log].either.first().accepted = now.Add(time.Hour).UnixMilli()
	n, since := b.direct(record.Log, true)
	require.Equal(t, 1, n)
	require.True(t, lingered(since), since)
	require.False(t, lingered(now), "nothing shares a block otherwise")
}

func TestAFlushWaitsForNothingThatCameAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBuffer(1<<20, func(record.Kind) {})
		put := func() item {
			require.NoError(t, b.put(t.Context(), item{kind: record.Log}))
			return b.take(record.Log, make([]item, 0, 1), 1)[0]
		}
		flush := func() <-chan error {
			done := make(chan error, 1)
			go func() { done <- b.wait(t.Context()) }()
			synctest.Wait()
			return done
		}
		before, beside := put(), put()
		first := flush()
		second := flush() // nothing was accepted since the first
		after := put()
		third := flush()
		b.settle(before)
		synctest.Wait()
		require.Empty(t, first)
		b.settle(beside)
		synctest.Wait()
		require.Len(t, first, 1)
		require.Len(t, second, 1)
		require.Empty(t, third)
		b.settle(after)
		require.NoError(t, <-third)
		require.NoError(t, <-flush(), "nothing is left")
	})
}
