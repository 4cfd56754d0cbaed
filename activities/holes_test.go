package activities

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
)

func TestABlockWithoutAGoodRecordSendsNothing(t *testing.T) {
	b := setup(t)
	b.produce(150, 1)
	_, out := b.insert(b.job(149))
	require.EqualValues(t, 300, out.Done)
	require.EqualValues(t, 300, out.Rejected)
	require.True(t, out.Clean)
	require.False(t, out.Doubt)
	b.exact(0)
	sent, _ := b.inserts(b.job(149))
	require.Zero(t, sent)
}

// transactions sends ten records in each of n transactions to partition 0, and aborts every second one. Each leaves a marker.
func (b *bench) transactions(n int) {
	b.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("x"))
	require.NoError(b.t, err)
	defer cl.Close()
	for i := range n {
		require.NoError(b.t, cl.BeginTransaction())
		for range 10 {
			cl.Produce(b.ctx, &kgo.Record{Topic: topic, Value: []byte(`{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"x"}`)}, nil)
		}
		require.NoError(b.t, cl.Flush(b.ctx))
		require.NoError(b.t, cl.EndTransaction(b.ctx, kgo.TransactionEndTry(i%2 == 0)))
	}
}

func TestAbortedTransactionsAreHolesAndNotRows(t *testing.T) {
	b := setup(t)
	b.transactions(5) // offsets 0 to 54: 30 committed, 20 aborted, 5 markers
	for name, c := range map[string]struct {
		first, last  int64
		block        int64
		stored, hole int64
	}{
		"all of it":                            {0, 54, 100, 30, 25},
		"blocks that begin and end with holes": {0, 54, 7, 30, 25},
		"nothing but holes":                    {11, 21, 5, 0, 11},
		"one that ends in a hole":              {5, 15, 100, 5, 6},
	} {
		t.Run(name, func(t *testing.T) {
			j := b.job(0)
			j.Nonce = name
			j.Limits.BlockRecords = c.block
			j.Ranges = batch.Ranges{{First: c.first, Last: c.last}}
			out, err := run[Inserted](b, b.Insert, InsertInput{Job: j, Warrant: b.look(j).Warrant})
			require.NoError(t, err)
			require.Equal(t, c.stored, out.Stored)
			require.Equal(t, c.hole, out.Holes)
			require.Equal(t, c.last-c.first+1, out.Done)
			require.Equal(t, c.stored, b.look(j).Stored)
			require.NoError(t, b.conn.Exec(b.ctx, "TRUNCATE TABLE logs"))
		})
	}
}

func TestALookListsTheFirstRangesWhenThereAreMany(t *testing.T) {
	b := setup(t)
	b.produce(2*maxFragments, 2) // every second record of two partitions is absent
	j := b.job(2*maxFragments - 1)
	j.Limits.BlockRecords = 100_000
	_, out := b.insert(j)
	require.EqualValues(t, 2*maxFragments, out.Stored)
	seen := b.look(j)
	require.False(t, seen.Complete)
	require.Len(t, seen.Absent, maxFragments)
	require.EqualValues(t, maxFragments, seen.Absent.Len())
	require.Equal(t, batch.Range{Partition: 0, First: 1, Last: 1}, seen.Absent[0])
	require.Equal(t, batch.Range{Partition: 0, First: 2*maxFragments - 1, Last: 2*maxFragments - 1}, seen.Absent[maxFragments-1])
	require.EqualValues(t, 2*maxFragments, seen.Stored, "what is there is counted, listed or not")
}
