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

// fits requires that the worker never had more than it may.
func fits(t *testing.T, worker *rig.Process) {
	t.Helper()
	most := peak(t, worker)
	t.Logf("%d MB resident at most", most/1_000_000)
	require.Less(t, most, int64(ceiling))
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
	require.NoError(t, r.DB.Exec(ctx, "SYSTEM FLUSH LOGS"))
	var full uint64
	require.NoError(t, r.DB.QueryRow(ctx, "SELECT count() FROM system.query_log WHERE type = 'QueryFinish' AND query_kind = 'Insert' AND written_rows >= 100000").Scan(&full))
	require.GreaterOrEqual(t, full, uint64(6), "blocks of 100,000 records")
	fits(t, worker)
}

// large is a record of each topic that carries the text.
func large(text []byte) []*kgo.Record {
	at := time.Now().UnixMilli()
	return []*kgo.Record{
		{Topic: load.Logs, Value: fmt.Appendf(nil, `{"timestamp":%d,"level":"INFO","message":"%s"}`, at, text)},
		{Topic: load.Events, Value: fmt.Appendf(nil, `{"timestamp":%d,"type":"large","payload":{"text":"%s"}}`, at, text)},
		{Topic: load.Metrics, Value: fmt.Appendf(nil, `{"timestamp":%d,"name":"large","value":1,"unknown":"%s"}`, at, text)},
	}
}

func TestThreeBatchesOfLargeMessagesAtOnceFitIntoMemory(t *testing.T) {
	const size, messages = 2_000_000, 450
	random := make([]byte, size)
	for i := range random {
		random[i] = 'a' + byte(rand.IntN(26)) //nolint:gosec // anything that does not compress
	}
	for name, c := range map[string]struct {
		text   []byte
		codec  kgo.CompressionCodec
		broken bool
	}{
		"as they are":                         {random, kgo.NoCompression(), false},
		"that compress to a thousandth":       {bytes.Repeat([]byte("x"), size), kgo.ZstdCompression(), false},
		"of backslashes, each escaped in two": {bytes.Repeat([]byte(`\\`), size/2), kgo.Lz4Compression(), false},
		"that are dead letters":               {random, kgo.NoCompression(), true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, r := servers(t)
			recs := large(c.text)
			var sent rig.Sent
			count := &sent.Good
			if c.broken {
				count = &sent.Broken
				for _, rec := range recs {
					rec.Value = rec.Value[:len(rec.Value)-1]
				}
			}
			produceLarge(ctx, t, r, c.codec, recs, messages)
			count.Add(messages)
			worker, err := r.Worker()
			require.NoError(t, err)
			_, err = r.Consumer()
			require.NoError(t, err)
			if c.broken { // so many bad ones are asked about
				approve(ctx, t, r, messages)
			}
			require.NoError(t, r.Drain(ctx, &sent))
			b, err := r.Count(ctx)
			require.NoError(t, err)
			require.NoError(t, b.Exact(&sent))
			fits(t, worker)
		})
	}
}

// approve lets every batch that is held pass, until there are so many dead letters.
func approve(ctx context.Context, t *testing.T, r *rig.Rig, n int64) {
	t.Helper()
	require.NoError(t, r.Until(ctx, "approve what is held", func(ctx context.Context) (bool, string) {
		p, err := r.Starter("resolve", "--state", "held", "approve")
		if err == nil {
			_, err = p.Wait(ctx)
		}
		b, counted := r.Count(ctx)
		return counted == nil && b.Dead >= n, fmt.Sprint(b, err, counted)
	}))
}

// produceLarge sends n records, the same ones again and again, over all partitions.
func produceLarge(ctx context.Context, t *testing.T, r *rig.Rig, codec kgo.CompressionCodec, recs []*kgo.Record, n int) {
	t.Helper()
	limit := "4000000"
	changed, err := kadm.NewClient(r.Client).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, load.Logs, load.Metrics, load.Events)
	require.NoError(t, err)
	for _, c := range changed {
		require.NoError(t, c.Err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Kafka.Addr()), kgo.ProducerBatchMaxBytes(3_900_000), kgo.ProducerBatchCompression(codec),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MaxBufferedRecords(16))
	require.NoError(t, err)
	defer cl.Close()
	for i := range n {
		again := *recs[i%len(recs)]
		cl.Produce(ctx, &again, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, cl.Flush(ctx))
}

const (
	// agentCeiling is what an agent with a buffer of 64 MiB may ever have resident, bytes.
	agentCeiling = 200_000_000
	// agentLimit is what the agent's runtime tries to stay under. Without it garbage may be as much as what is in use, and more on
	// a machine that gives the collector no time; with it what the client holds is measured, whatever else runs here.
	agentLimit = "GOMEMLIMIT=150MiB"
)

func TestAnAgentFitsIntoMemoryWhileBothServersAreAway(t *testing.T) {
	for name, away := range map[string]func(rig.Server) error{"killed": rig.Server.Kill, "silent": rig.Server.Freeze} {
		t.Run(name, func(t *testing.T) {
			s := newTown(t)
			s.ready()
			a, err := s.arriveWith([]string{agentLimit}, 0, "-flush", "100ms", "-patience", "100ms")
			require.NoError(t, err)
			s.says(a, "records go to kafka", func(r report) bool { return r.Sent > 20_000 })
			for _, srv := range []rig.Server{s.Kafka, s.ClickHouse} {
				require.NoError(t, away(srv))
			}
			s.says(a, "the buffer is full, and calls wait", func(r report) bool { return r.Again > 20 })
			require.Greater(t, a.last(t).BufferedBytes, int64(63<<20))
			most := peak(t, a.Process)
			t.Logf("%d MB resident at most", most/1_000_000)
			require.Less(t, most, int64(agentCeiling))
		})
	}
}
