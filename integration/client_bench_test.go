package integration

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/client"
	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
	"github.com/ai-backlog/ingest/kafka"
)

// typical is a log of about 400 bytes as JSON.
var typical = client.Log{
	Level: "INFO", Service: "planner", AgentID: "agent-0017", TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331",
	Message:    "tool call search_documents finished: 12 results in 184 ms, best score 0.83, cache miss",
	Attributes: map[string]string{"tool": "search_documents", "model": "large-2", "tokens_in": "1834", "tokens_out": "212"},
}

// BenchmarkProduce is records from the first call to the last acknowledgement of a broker in a process of its own, which has its
// share of the machine: through the client, and, what can be reached at most, the same bytes through franz-go alone.
//
//	go test -run '^$' -bench Produce -benchtime 2000000x -count 3 .
func BenchmarkProduce(b *testing.B) {
	bin, err := stack.Prepare(b.Context(), os.Stderr, stack.KafkaName)
	require.NoError(b, err)
	broker, err := stack.Kafka(stack.KafkaOptions{Binaries: bin, Dir: b.TempDir(), NoSync: true})
	require.NoError(b, err)
	require.NoError(b, broker.Start(b.Context()))
	b.Cleanup(func() { _ = broker.Kill(); broker.Release() })
	b.Run("client", func(b *testing.B) { throughClient(b, broker.Addr()) })
	b.Run("kgo", func(b *testing.B) { throughKgo(b, broker.Addr()) })
}

func throughClient(b *testing.B, addr string) {
	b.Helper()
	c, err := client.New(client.Config{Kafka: kafka.Config{Servers: []string{addr}}})
	require.NoError(b, err)
	told := measure(b)
	for b.Loop() {
		if err := c.StoreLog(b.Context(), typical); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, c.Close(b.Context()))
	told()
	require.Equal(b, client.Stats{Sent: int64(b.N)}, c.Stats())
}

func throughKgo(b *testing.B, addr string) {
	b.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(load.Logs), kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.MaxBufferedRecords(100_000))
	require.NoError(b, err)
	defer cl.Close()
	texts := make([]string, 4096) // as many as a few batches have: they compress as the client's do
	for i := range texts {
		texts[i] = fmt.Sprintf(`{"timestamp":%q,"level":"INFO","message":%q,"event_id":%q,"service":"planner","agent_id":"agent-0017","trace_id":%q,"span_id":%q,"attributes":{"tool":"search_documents","model":"large-2","tokens_in":"1834","tokens_out":"212"}}`,
			time.Now().Format(time.RFC3339Nano), typical.Message, uuid.Must(uuid.NewV7()), typical.TraceID, typical.SpanID)
	}
	told := measure(b)
	for i := 0; b.Loop(); i++ {
		cl.Produce(b.Context(), &kgo.Record{Key: []byte(typical.AgentID), Value: []byte(texts[i%len(texts)])}, nil)
	}
	require.NoError(b, cl.Flush(b.Context()))
	told()
}

// measure reports what was reached, and what of this process's CPU it took, which others on the machine change less.
func measure(b *testing.B) (told func()) {
	b.Helper()
	self := map[string]int{"self": os.Getpid()}
	before, err := rig.CPU(self)
	require.NoError(b, err)
	began := time.Now()
	return func() {
		b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "records/s")
		after, err := rig.CPU(self)
		require.NoError(b, err)
		b.ReportMetric((after["self"]-before["self"])*1e9/float64(b.N), "cpu-ns/op")
	}
}
