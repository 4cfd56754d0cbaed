package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
)

// While the transaction is open, Kafka says that what can be read ends before the log begins.
func TestRecordsDeletedFromAnOpenTransactionAreLostOnceAndTheOthersStored(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.sendGood(500)
	s.all()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Seeds()...), kgo.TransactionalID("open"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(100*time.Millisecond))
	require.NoError(t, err)
	defer cl.Close()
	require.NoError(t, cl.BeginTransaction())
	const n, gone = 10, 4
	var recs []*kgo.Record
	for i := range n { // one batch: Apache Kafka's end is where the batch begins
		recs = append(recs, &kgo.Record{Topic: load.Logs, Value: fmt.Appendf(nil, `{"timestamp":%d,"level":"INFO","message":"%d"}`, time.Now().UnixMilli(), i)})
	}
	require.NoError(t, cl.ProduceSync(s.ctx, recs...).FirstErr())
	to := kadm.Offsets{}
	to.AddOffset(load.Logs, 0, recs[0].Offset+gone, -1)
	_, err = kadm.NewClient(s.Client).DeleteRecords(s.ctx, to)
	require.NoError(t, err)
	lost := func() int64 {
		return s.count("SELECT toUInt64(sum(last - first + 1)) FROM ingest_exceptions WHERE kind = 'lost'")
	}
	require.NoError(t, s.Until(s.ctx, "the loss is told", func(context.Context) (bool, string) { return lost() > 0, "" }))
	pause(s.ctx, 3*time.Second) // for rounds that have nothing new to tell
	require.NoError(t, s.Settled(s.ctx))
	require.EqualValues(t, gone, lost())
	require.NoError(t, cl.EndTransaction(s.ctx, kgo.TryCommit))
	s.sent.Good.Add(n - gone)
	s.all()
	require.EqualValues(t, gone, lost())
	s.clean(load.Logs)
}
