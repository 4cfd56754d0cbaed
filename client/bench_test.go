package client

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// typical is a log of about 400 bytes as JSON.
func typical() Log {
	return Log{
		Level: "INFO", Service: "planner", AgentID: "agent-0017", TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331",
		Message:    "tool call search_documents finished: 12 results in 184 ms, best score 0.83, cache miss",
		Attributes: map[string]string{"tool": "search_documents", "model": "large-2", "tokens_in": "1834", "tokens_out": "212"},
	}
}

// deaf acknowledges every record at once and keeps none: what a benchmark of
// the client needs of a broker.
func deaf(b testing.TB) *kfake.Cluster {
	b.Helper()
	c := brokers(b)
	c.ControlKey(kmsg.Produce.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range req.Topics {
			out := kmsg.NewProduceResponseTopic()
			out.Topic, out.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				part := kmsg.NewProduceResponseTopicPartition()
				part.Partition = p.Partition
				out.Partitions = append(out.Partitions, part)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil, true
	})
	return c
}

// BenchmarkStoreLog is what a call costs its caller: the bound is 2 µs and 2
// allocations. All that the client does meanwhile is counted too.
func BenchmarkStoreLog(b *testing.B) {
	c := open(b, onlyKafka(deaf(b).ListenAddrs()))
	ctx := context.Background()
	l := typical()
	require.NoError(b, c.StoreLog(ctx, l))
	require.NoError(b, c.Flush(ctx))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.StoreLog(ctx, l); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	require.NoError(b, c.Flush(ctx))
}

// BenchmarkThroughput is records from the first call to the last acknowledgement.
func BenchmarkThroughput(b *testing.B) {
	c := open(b, onlyKafka(deaf(b).ListenAddrs()))
	ctx := context.Background()
	l := typical()
	began := time.Now()
	for b.Loop() {
		if err := c.StoreLog(ctx, l); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, c.Flush(ctx))
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "records/s")
}

// BenchmarkProducer is the same records through franz-go alone.
func BenchmarkProducer(b *testing.B) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(deaf(b).ListenAddrs()...), kgo.DefaultProduceTopic(topics.Logs), kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.MaxBufferedRecords(100_000))
	require.NoError(b, err)
	defer cl.Close()
	l := typical()
	l.Timestamp = time.Now()
	text, err := appendLog(nil, &l)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		cl.Produce(b.Context(), &kgo.Record{Key: []byte(l.AgentID), Value: append([]byte(nil), text...)}, nil)
	}
	require.NoError(b, cl.Flush(b.Context()))
}
