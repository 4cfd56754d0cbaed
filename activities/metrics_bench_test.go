//go:build unix

package activities

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/record"
)

// cpu is the time that this process has had.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkInsertCounted is the way of a block of 100,000 logs from Kafka to ClickHouse's acknowledgement, with metrics, without,
// and without again, which tells what the machine makes of a difference that is none; in random order, so that all have the same weather.
// It is the median CPU time of this process, without the garbage collector's; what counting allocates BenchmarkCounting says. The
// stand-in for Kafka is a part of it.
func BenchmarkInsertCounted(b *testing.B) {
	const n = 100_000
	s := setup(b)
	s.ctx = b.Context()
	for i := range n {
		s.send(&kgo.Record{Topic: topic, Partition: 0, Key: fmt.Appendf(nil, "agent-%d", i%100), Value: fmt.Appendf(nil,
			`{"timestamp":"2026-01-02T03:04:05.%06dZ","level":"INFO","message":"step %d of the plan: the tool answered after %d ms and the agent goes on with what it said","service":"planner","agent_id":"agent-%d","trace_id":"%032x","span_id":"%016x","attributes":{"model":"large","tokens":"%d","attempt":"1","region":"eu-west-1"}}`,
			i, i, i%977, i%100, i/10, i, i%4096)})
	}
	require.NoError(b, s.cl.Flush(s.ctx))
	j := s.part(n - 1)
	counted := s.Metrics
	once := func(m *Metrics) time.Duration {
		s.Metrics = nil
		in := InsertInput{Job: j, Warrant: s.look(j).Warrant}
		j.Turn++ // another token: it is stored again
		s.Metrics = m
		runtime.GC() // here, since one in the middle costs half a block
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		began := cpu(b)
		_, err := run[Inserted](s, s.Insert, in)
		require.NoError(b, err)
		return cpu(b) - began
	}
	of := map[string][]float64{}
	metrics := map[string]*Metrics{"without": nil, "control": nil, "counted": counted}
	names := slices.Sorted(maps.Keys(metrics))
	for b.Loop() {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			of[name] = append(of[name], once(metrics[name]).Seconds()*1000)
		}
	}
	for name, ms := range of {
		slices.Sort(ms)
		b.ReportMetric(ms[len(ms)/2], "cpu-ms/"+name)
	}
	dearer := func(name string) float64 {
		return (of[name][len(of[name])/2]/of["without"][len(of["without"])/2] - 1) * 100
	}
	b.ReportMetric(dearer("counted"), "%-dearer")
	b.ReportMetric(dearer("control"), "%-control")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCounting is what is counted of a block of 100,000 records, by itself: a hundred responses and one insert.
func BenchmarkCounting(b *testing.B) {
	s := setup(b)
	recs := make([]*kgo.Record, 1000)
	for i := range recs {
		recs[i] = &kgo.Record{Key: []byte("agent-17"), Value: make([]byte, 388)}
	}
	kind := s.Kinds[topic]
	block := s.lend(kind)
	for i := range 100_000 {
		require.NoError(b, block.Append([]byte(`{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"m"}`), record.Coordinates{Topic: topic, TopicID: s.id, Offset: int64(i), Timestamp: time.Now()}))
	}
	j := s.part(99_999)
	b.ReportAllocs()
	for b.Loop() {
		for range 100 {
			s.Metrics.read(topic, recs)
		}
		s.Metrics.tried(topic, nil, false)
		s.Metrics.inserted(j, block, time.Second)
	}
}
