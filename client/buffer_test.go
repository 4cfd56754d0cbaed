package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

func small(limit int64) *buffer { return newBuffer(limit, func(record.Kind) {}) }

func put(t *testing.T, b *buffer, text string) {
	t.Helper()
	require.NoError(t, b.put(t.Context(), item{kind: record.Log, value: []byte(text)}))
}

func take(b *buffer, n int) []item { return b.take(record.Log, make([]item, 0, n), 1<<30) }

func TestAFlushWaitsForWhatWasAcceptedBeforeItOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small(1 << 20)
		put(t, b, "before")
		put(t, b, "before too")
		first, second := take(b, 1), take(b, 1)
		done := make(chan error, 1)
		go func() { done <- b.wait(t.Context()) }()
		synctest.Wait()
		put(t, b, "after")
		b.settle(second...)
		synctest.Wait()
		require.Empty(t, done, "one of them is not settled")
		b.settle(first...)
		require.NoError(t, <-done, "what came later is not waited for")
		n, _ := b.size()
		require.Equal(t, int64(1), n)
	})
}

func TestFlushesAtOnceEachWaitForTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small(1 << 20)
		var done [3]chan error
		var items [][]item
		for i := range done {
			put(t, b, "x")
			items = append(items, take(b, 1))
			done[i] = make(chan error, 1)
			go func() { done[i] <- b.wait(t.Context()) }()
			synctest.Wait()
		}
		b.settle(items[2]...)
		synctest.Wait()
		require.Empty(t, done[2], "an earlier record is not settled")
		b.settle(items[0]...)
		require.NoError(t, <-done[0])
		synctest.Wait()
		require.Empty(t, done[1])
		b.settle(items[1]...)
		require.NoError(t, <-done[1])
		require.NoError(t, <-done[2])
	})
}

func TestAFullBufferMakesCallsWaitForRoomNotForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small(3 * (overhead + 1))
		for range 3 {
			put(t, b, "x")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, b.put(ctx, item{kind: record.Log, value: []byte("x")}), context.DeadlineExceeded)
		n, bytes := b.size()
		require.Equal(t, []int64{3, 3 * (overhead + 1)}, []int64{n, bytes}, "what was not accepted is not counted")
		done := make(chan error, 1)
		go func() { done <- b.put(t.Context(), item{kind: record.Log, value: []byte("x")}) }()
		synctest.Wait()
		require.Empty(t, done)
		b.settle(take(b, 1)...)
		require.NoError(t, <-done)
		go func() { done <- b.put(t.Context(), item{kind: record.Log, value: []byte("x")}) }()
		synctest.Wait()
		b.close()
		require.ErrorIs(t, <-done, ErrClosed, "who waits for room is let go")
	})
}

func TestWhatIsTakenComesInOrderAndWhatIsPutBackIsThereAgain(t *testing.T) {
	b := small(1 << 30)
	const n = 3*segmentItems + 7
	for i := range n {
		require.NoError(t, b.put(t.Context(), item{kind: record.Log, key: []byte{byte(i)}, value: []byte{byte(i >> 8)}}))
	}
	first := take(b, segmentItems+1)
	for i, it := range first {
		require.Equal(t, []byte{byte(i), byte(i >> 8)}, []byte{it.key[0], it.value[0]})
	}
	require.Equal(t, int64(n-len(first)), b.waiting(record.Log))
	b.back(first...)
	require.Equal(t, int64(n), b.waiting(record.Log))
	all := take(b, n+1)
	require.Len(t, all, n)
	b.settle(all...)
	count, bytes := b.size()
	require.Zero(t, count)
	require.Zero(t, bytes)
}

func TestEachServerIsGivenOnlyWhatItMayHave(t *testing.T) {
	b := small(1 << 20)
	require.NoError(t, b.put(t.Context(), item{kind: record.Log, value: []byte("kafka"), noDirect: true}))
	put(t, b, "either")
	require.Empty(t, b.takeDirect(record.Log, make([]item, 0, 9), 1<<20, false))
	direct := b.takeDirect(record.Log, make([]item, 0, 9), 1<<20, true)
	require.Len(t, direct, 1)
	require.Equal(t, "either", string(direct[0].value))
	direct[0].noKafka = true
	b.back(direct...)
	toKafka := take(b, 9)
	require.Len(t, toKafka, 1)
	require.Equal(t, "kafka", string(toKafka[0].value))
	require.Len(t, b.takeDirect(record.Log, make([]item, 0, 9), 1<<20, false), 1)
}
