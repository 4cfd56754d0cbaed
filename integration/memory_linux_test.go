package integration

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// ceiling is what a worker may ever have resident, bytes.
const ceiling = 600_000_000

// peak is the most that the process ever had resident, bytes.
func peak(t *testing.T, p *rig.Process) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib * 1024
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

func TestThreeFullBatchesAtOnceFitIntoMemory(t *testing.T) {
	ctx, r := servers(t)
	var sent rig.Sent
	// All of it is there before the consumer starts: every batch but the first ones has 100,000 records.
	require.NoError(t, r.Produce(ctx, load.New(1, load.Mix{Metrics: 0.2, Events: 0.3}), 1_000_000, &sent, nil))
	worker, err := r.Worker()
	require.NoError(t, err)
	_, err = r.Consumer()
	require.NoError(t, err)
	require.NoError(t, r.Drain(ctx, &sent))
	t.Logf("%d MB resident at most", peak(t, worker)/1_000_000)
	require.Less(t, peak(t, worker), int64(ceiling))
}

func TestBatchesOfLargeMessagesFitIntoMemory(t *testing.T) {
	const size, messages = 2_000_000, 400
	random := make([]byte, size)
	for i := range random {
		random[i] = 'a' + byte(rand.IntN(26)) //nolint:gosec // anything that does not compress
	}
	for name, c := range map[string]struct {
		message []byte
		codec   kgo.CompressionCodec
	}{
		"as they are":                         {random, kgo.NoCompression()},
		"that compress to a thousandth":       {bytes.Repeat([]byte("x"), size), kgo.ZstdCompression()},
		"of backslashes, each escaped in two": {bytes.Repeat([]byte(`\\`), size/2), kgo.Lz4Compression()},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, r := servers(t)
			limit := "4000000"
			changed, err := kadm.NewClient(r.Client).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, load.Logs)
			require.NoError(t, err)
			_, err = changed.On(load.Logs, nil)
			require.NoError(t, err)
			var sent rig.Sent
			produceLarge(ctx, t, r, c.codec, c.message, messages)
			sent.Good.Add(messages)
			worker, err := r.Worker()
			require.NoError(t, err)
			_, err = r.Consumer()
			require.NoError(t, err)
			require.NoError(t, r.Drain(ctx, &sent))
			b, err := r.Count(ctx)
			require.NoError(t, err)
			require.NoError(t, b.Exact(&sent))
			t.Logf("%d MB resident at most", peak(t, worker)/1_000_000)
			require.Less(t, peak(t, worker), int64(ceiling))
		})
	}
}

// produceLarge sends n log records of the message over all partitions.
func produceLarge(ctx context.Context, t *testing.T, r *rig.Rig, codec kgo.CompressionCodec, message []byte, n int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Kafka.Addr()), kgo.ProducerBatchMaxBytes(3_900_000), kgo.ProducerBatchCompression(codec),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MaxBufferedRecords(16))
	require.NoError(t, err)
	defer cl.Close()
	value := fmt.Appendf(nil, `{"timestamp":%d,"level":"INFO","service":"large","message":"%s"}`, time.Now().UnixMilli(), message)
	for range n {
		cl.Produce(ctx, &kgo.Record{Topic: load.Logs, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, cl.Flush(ctx))
}
