package activities

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/kafka/kafkatest"
	"github.com/ai-backlog/ingest/record"
	"github.com/ai-backlog/ingest/schema"
)

const topic = "t"

// bench is activities on a ClickHouse and a broker of their own, and a topic of two partitions.
type bench struct {
	*Activities
	t    testing.TB
	ctx  context.Context //nolint:containedctx // the test's
	cfg  clickhouse.Config
	conn driver.Conn
	c    *kafkatest.Broker
	cl   *kgo.Client
	adm  *kadm.Client
	reg  *prometheus.Registry
	id   batch.TopicID
}

func setup(t testing.TB) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(ctx, conn, schema.Options{Database: cfg.Database}))
	c := kafkatest.New(t, 2, []string{topic})
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(900_000))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	producer, err := kgo.NewClient(append(ProducerOptions(), kgo.SeedBrokers(c.ListenAddrs()...))...)
	require.NoError(t, err)
	t.Cleanup(producer.Close)
	inserter := clickhouse.NewInserter(cfg)
	t.Cleanup(func() { _ = inserter.Close() })
	killer, err := clickhouse.NewKiller(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = killer.Close() })
	reg := prometheus.NewRegistry()
	b := &bench{t: t, ctx: ctx, cfg: cfg, conn: conn, c: c, cl: cl, adm: kadm.NewClient(cl), reg: reg, Activities: &Activities{
		Reader: kafka.NewReader(cl), Producer: producer, Looker: clickhouse.NewLooker(conn), Inserter: inserter, Killer: killer, Queries: conn,
		Kinds: map[string]record.Kind{topic: record.Log}, Metrics: NewMetrics(reg, []string{topic}),
	}}
	b.id, _, err = kafka.Logs(ctx, cl, topic)
	require.NoError(t, err)
	return b
}

// produce sends n log records to each partition; every broken-th cannot be decoded.
func (b *bench) produce(n, broken int) {
	b.t.Helper()
	for i := range n {
		for p := range int32(2) {
			value := fmt.Appendf(nil, `{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"record %d of %d"}`, i, p)
			if i%broken == broken-1 {
				value = fmt.Appendf(nil, `{"broken":%d}`, i)
			}
			b.send(&kgo.Record{Topic: topic, Partition: p, Key: []byte("k"), Value: value, Headers: []kgo.RecordHeader{{Key: "from", Value: []byte("test")}}})
		}
	}
	require.NoError(b.t, b.cl.Flush(b.ctx))
}

func (b *bench) send(r *kgo.Record) {
	b.cl.Produce(b.ctx, r, func(_ *kgo.Record, err error) {
		if err != nil {
			b.t.Error(err)
		}
	})
}

// job is turn 0 over the offsets of both partitions up to last.
func (b *bench) job(last int64) Job {
	return Job{
		Workflow: "g/" + b.id.Short() + "/7", Nonce: "abc", Topic: topic, TopicID: b.id, Limits: batch.Limits{BlockRecords: 100, BlockBytes: 64 << 20},
		Ranges: batch.Ranges{{Partition: 0, Last: last}, {Partition: 1, Last: last}},
	}
}

// run executes an activity as a worker does, beginning from a heartbeat's details if there are any.
func run[T any](b *bench, activity, in any, from ...any) (out T, err error) {
	var s testsuite.WorkflowTestSuite
	s.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := s.NewTestActivityEnvironment()
	env.RegisterActivity(b.Activities)
	if len(from) > 0 {
		env.SetHeartbeatDetails(from[0])
	}
	answer, err := env.ExecuteActivity(activity, in)
	if err == nil && answer.HasValue() {
		err = answer.Get(&out)
	}
	return out, err
}

func (b *bench) look(j Job) Seen {
	b.t.Helper()
	seen, err := run[Seen](b, b.Look, j)
	require.NoError(b.t, err)
	return seen
}

// insert looks and inserts what is absent.
func (b *bench) insert(j Job) (InsertInput, Inserted) {
	b.t.Helper()
	seen := b.look(j)
	in := InsertInput{Job: j, Warrant: seen.Warrant}
	in.Ranges = seen.Absent
	out, err := run[Inserted](b, b.Insert, in)
	require.NoError(b.t, err)
	return in, out
}

func (b *bench) count(query string, args ...any) int {
	b.t.Helper()
	var n uint64
	require.NoError(b.t, b.conn.QueryRow(b.ctx, query, args...).Scan(&n))
	return int(n) //nolint:gosec // small
}

// exact requires that many rows of logs, no coordinates twice.
func (b *bench) exact(rows int) {
	b.t.Helper()
	require.Equal(b.t, rows, b.count("SELECT count() FROM logs"))
	require.Equal(b.t, rows, b.count("SELECT uniqExact(_topic_id, _partition, _offset) FROM logs"))
}

// metric is the sum of a counter over its labels.
func (b *bench) metric(name string) (sum int) {
	b.t.Helper()
	families, err := b.reg.Gather()
	require.NoError(b.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += int(m.GetCounter().GetValue())
			}
		}
	}
	return sum
}

// onFetch calls f before the broker answers a fetch of the partition. What f waits for keeps the answer back.
func (b *bench) onFetch(partition int32, f func()) {
	b.c.Fake(b.t).ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.c.Fake(b.t).KeepControl()
		if req.(*kmsg.FetchRequest).Topics[0].Partitions[0].Partition == partition {
			b.c.Fake(b.t).SleepControl(f)
		}
		return nil, nil, false
	})
}

// inserts are the INSERTs that the server has run for the job, and how many tokens they had.
func (b *bench) inserts(j Job) (sent, tokens int) {
	b.t.Helper()
	require.NoError(b.t, b.conn.Exec(b.ctx, "SYSTEM FLUSH LOGS"))
	const of = " FROM system.query_log WHERE type = 'QueryFinish' AND startsWith(query_id, ?)"
	prefix := batch.TokenPrefix(j.Workflow, j.Nonce)
	return b.count("SELECT count()"+of, prefix), b.count("SELECT uniqExact(query_id)"+of, prefix)
}
