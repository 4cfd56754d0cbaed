package record

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

// typicalLogs are 388 bytes each, of 20 services, 1,000 agents and 500 pods.
func typicalLogs(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, `{"timestamp":"2026-09-18T05:43:%02d.%06dZ","level":"%s","service":"svc-order-%02d","agent_id":"agent-%04d",`+
			`"trace_id":"%032x","message":"handled request /api/v1/payments/callback/%06d in %04dms bytes=%05d user_id=%08x from=10.1. ua=\"okhttp/4.9\"",`+
			`"attributes":{"http.method":"POST","http.status":"%d","region":"eu-central-1","k8s.pod":"pod-%09x"}}`,
			i%60, i%1_000_000, []string{"INFO", "INFO", "WARN", "DEBG"}[i%4], i*7%20, i*31%1000, uint64(i)*0x9e3779b97f4a7c15,
			i*13%1_000_000, i%5000, i*17%100_000, i*0x9e3779b1&0xffffffff, 200+i%5, i*3%500)
	}
	return out
}

func origin(offset int64) Coordinates {
	return Coordinates{
		Topic: "ai_backlog_logs", TopicID: batch.TopicID{1, 2, 3}, Partition: 7, Offset: offset,
		Timestamp: time.UnixMilli(1_758_175_383_123),
	}
}

func BenchmarkLog(b *testing.B)    { benchmark(b, Log, typicalLogs(10_000)) }
func BenchmarkMetric(b *testing.B) { benchmark(b, Metric, [][]byte{[]byte(goodMetric)}) }
func BenchmarkEvent(b *testing.B)  { benchmark(b, Event, [][]byte{[]byte(goodEvent)}) }

func benchmark(b *testing.B, kind Kind, values [][]byte) {
	b.Helper()
	block := NewBlock(kind)
	fill := func(n int) {
		for i := range n {
			if block.Rows() == 100_000 {
				block.Reset()
			}
			if err := block.Append(values[i%len(values)], origin(int64(i))); err != nil {
				b.Fatal(err)
			}
		}
	}
	fill(100_000)
	b.SetBytes(int64(len(values[0])))
	b.ReportAllocs()
	b.ResetTimer()
	fill(b.N)
}

func TestAppendAllocatesNothingOnceGrown(t *testing.T) {
	logs := typicalLogs(1000)
	require.Equal(t, 388, len(logs[0])) //nolint:testifylint // Len would print the bytes
	logs = append(logs, []byte(goodLog), []byte(manyKeys(Log, 500)))
	block := NewBlock(Log)
	fill := func() {
		block.Reset()
		for i, v := range logs {
			require.NoError(t, block.Append(v, origin(int64(i))))
		}
	}
	fill()
	require.LessOrEqual(t, testing.AllocsPerRun(20, fill), 3., "per 1,002 records")
}
