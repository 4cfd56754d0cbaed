package client

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

func TestCloseWithoutARecordNeedsNoServer(t *testing.T) {
	s := newStand(t)
	s.kafka.cut()
	s.click.cut()
	began := time.Now()
	require.NoError(t, s.c.Flush(t.Context()))
	require.NoError(t, s.c.Close(t.Context()))
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestCloseLetsGoWhoeverWaitsForRoom(t *testing.T) {
	s := newStand(t, func(c *Config) { c.BufferBytes = leastBuffer })
	s.kafka.cut()
	s.click.cut()
	text := strings.Repeat("x", 100_000)
	var accepted, refused atomic.Int64
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			for {
				err := s.c.StoreLog(t.Context(), Log{Level: "INFO", Message: text})
				if errors.Is(err, ErrClosed) {
					refused.Add(1)
				}
				if err != nil {
					return
				}
				accepted.Add(1)
			}
		})
	}
	s.until("all of them wait", func(Stats) bool {
		s.c.buffer.mu.Lock()
		defer s.c.buffer.mu.Unlock()
		return s.c.buffer.waiters == 20
	})
	var unsent *UnsentError
	require.ErrorAs(t, s.c.Close(within(t, 2*time.Second)), &unsent)
	calls.Wait()
	require.Equal(t, int64(20), refused.Load())
	require.Equal(t, accepted.Load(), unsent.Unsent+unsent.InDoubt)
}

func TestACanceledContextIsNoReasonToRefuseWhatThereIsRoomFor(t *testing.T) {
	s := newStand(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id := uuid.Must(uuid.NewV7())
	require.NoError(t, s.c.StoreLog(ctx, Log{Level: "INFO", EventID: id}))
	s.stored[id] = true
	require.ErrorIs(t, s.c.Flush(ctx), context.Canceled)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	s.exact(s.inKafka(1))
}

func TestWhoStoresWhileOthersFlushAndCloseIsToldTheTruth(t *testing.T) {
	s := newStand(t, func(c *Config) { c.FallbackAfter = time.Minute })
	var mu sync.Mutex
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			for {
				id := uuid.Must(uuid.NewV7())
				err := s.c.StoreLog(t.Context(), Log{Level: "INFO", EventID: id})
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				s.stored[id] = true
				mu.Unlock()
			}
		})
		calls.Go(func() {
			for s.c.Stats().Sent < 5000 {
				if err := s.c.Flush(within(t, 30*time.Second)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	s.until("some are sent", func(st Stats) bool { return st.Sent > 5000 })
	var closed atomic.Int64
	for range 3 {
		calls.Go(func() {
			if err := s.c.Close(within(t, 30*time.Second)); err == nil {
				closed.Add(1)
			} else if !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	require.Equal(t, int64(1), closed.Load())
	st := s.c.Stats()
	require.Equal(t, Stats{Sent: int64(len(s.stored))}, st)
	s.exact(s.inKafka(len(s.stored)))
}

func TestABlockThatTheTableHasTakenInPartIsCompleted(t *testing.T) {
	s := newStand(t)
	l := s.c.lanes[record.Log]
	l.mu.Lock()
	l.direct = true
	l.mu.Unlock()
	s.c.buffer.told = func(record.Kind) {}
	for m := range 4 { // each month is a part of its own
		id := uuid.Must(uuid.NewV7())
		require.NoError(t, s.c.StoreLog(t.Context(), Log{Level: "INFO", EventID: id, Timestamp: time.Date(2024, time.Month(1+m), 2, 0, 0, 0, 999, time.UTC)}))
		s.stored[id] = true
	}
	b := l.fill(s.c.buffer.takeDirect(record.Log, make([]item, 0, 4), directBytes, true), record.DirectSure)
	part := record.NewBlock(record.Log)
	for _, it := range b.items[:2] {
		require.NoError(t, part.Append(it.value, record.Coordinates{Topic: topics.Logs, Partition: record.DirectPartition}))
	}
	require.NoError(t, s.c.inserter.Insert(t.Context(), "logs", part.Input(), b.token))
	b.begun = time.Now()
	l.missed(4)
	require.NoError(t, l.step(t.Context(), b))
	require.Zero(t, l.doubt())
	s.exact(s.rows(record.DirectSure))
}
