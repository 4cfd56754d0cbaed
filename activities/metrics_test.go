package activities

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/record"
)

// series is a metric's value by its labels, a histogram's number of observations.
func series(t testing.TB, reg prometheus.Gatherer, name string) map[string]int {
	t.Helper()
	out := map[string]int{}
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name {
				continue
			}
			key := ""
			for _, l := range m.GetLabel() {
				if l.GetName() != "topic" {
					key += l.GetValue() + " "
				}
			}
			out[key] += int(m.GetCounter().GetValue()) + int(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func (b *bench) series(name string) map[string]int {
	b.t.Helper()
	return series(b.t, b.reg, name)
}

// histogram is that of the topic.
func (b *bench) histogram(name string) *dto.Histogram {
	b.t.Helper()
	families, err := b.reg.Gather()
	require.NoError(b.t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetHistogram()
		}
	}
	b.t.Fatal(name)
	return nil
}

func TestEverySeriesOfAWorkerIsThereFromTheStartAndZero(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	NewMetrics(reg, []string{"a", "b"})
	reasons := len(record.Reasons()) + 2
	for name, each := range map[string]int{
		"ingest_stored_rows_total": 1, "ingest_present_records_total": 1, "ingest_dead_letters_total": reasons, "ingest_lost_offsets_total": 1, "ingest_skipped_offsets_total": 1,
		"ingest_read_records_total": 1, "ingest_read_bytes_total": 1, "ingest_inserts_total": 4, "ingest_insert_bytes_total": 1, "ingest_tokens_resent_total": 1,
		"ingest_looks_total": 2, "ingest_view_faults_total": 1, "ingest_decisions_total": 5, "ingest_insert_seconds": 1, "ingest_look_seconds": 1, "ingest_freshness_seconds": 1,
	} {
		n, err := testutil.GatherAndCount(reg, name)
		require.NoError(t, err)
		require.Equal(t, 2*each, n, name)
	}
	attempts := series(t, reg, "ingest_activity_attempts_total")
	require.Len(t, attempts, 2*len(names()))
	require.Contains(t, attempts, "Insert ok ")
	require.Contains(t, attempts, "Look failed ")
	require.NotContains(t, names(), "lend", "only what a worker registers")

	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		require.NotEmpty(t, f.GetHelp(), f.GetName())
		for _, m := range f.GetMetric() {
			require.Zero(t, m.GetCounter().GetValue()+float64(m.GetHistogram().GetSampleCount()), f.GetName())
		}
	}
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestTheCountsOfABatchAreTrue(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	began := time.Now()
	b.insert(b.job(299))
	took := time.Since(began)

	// The same blocks once more.
	bytes, wire, block := 0, 0, record.NewBlock(record.Log)
	for p := range int32(2) {
		for i := range 300 {
			value := fmt.Appendf(nil, `{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"record %d of %d"}`, i, p)
			if i%50 == 49 {
				value = fmt.Appendf(nil, `{"broken":%d}`, i)
			}
			wire += len("k") + len(value)
			_ = block.Append(value, record.Coordinates{Topic: topic, TopicID: b.id, Partition: p, Offset: int64(i), Timestamp: time.Now()})
			if i%100 == 99 {
				bytes += block.Bytes()
				block.Reset()
			}
		}
	}
	require.Equal(t, 600, b.metric("ingest_read_records_total"))
	require.Equal(t, wire, b.metric("ingest_read_bytes_total"))
	require.Equal(t, 588, b.metric("ingest_stored_rows_total"))
	require.Equal(t, bytes, b.metric("ingest_insert_bytes_total"))
	require.Equal(t, map[string]int{"ok ": 6, "outage ": 0, "blocked ": 0, "rejected ": 0}, b.series("ingest_inserts_total"))
	require.Zero(t, b.metric("ingest_tokens_resent_total"))
	require.Equal(t, 6, b.series("ingest_insert_seconds")[""])

	fresh := b.histogram("ingest_freshness_seconds")
	require.EqualValues(t, 6*freshnessSample, fresh.GetSampleCount())
	require.LessOrEqual(t, fresh.GetSampleSum(), float64(6*freshnessSample)*(took+10*time.Second).Seconds())
	require.NotEmpty(t, fresh.GetPositiveSpan(), "a native histogram")
	require.Len(t, fresh.GetBucket(), 16, "and a classic one")
}

// A block that arrived over a quarter of an hour: its sample has the percentiles of all.
func TestFreshnessIsOfRowsEvenlySpreadOverTheBlock(t *testing.T) {
	b := setup(t)
	const n = 1000
	now := time.Now()
	for i := range n {
		b.send(&kgo.Record{Topic: topic, Timestamp: now.Add(-time.Duration(i) * time.Second), Value: fmt.Appendf(nil, `{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"%d"}`, i)})
	}
	require.NoError(t, b.cl.Flush(b.ctx))
	b.insert(b.part(n - 1))
	fresh := b.histogram("ingest_freshness_seconds")
	require.EqualValues(t, freshnessSample, fresh.GetSampleCount())
	require.InDelta(t, n/2, fresh.GetSampleSum()/freshnessSample, 20)
	below := map[float64]uint64{}
	for _, at := range fresh.GetBucket() {
		below[at.GetUpperBound()] = at.GetCumulativeCount()
	}
	require.InDelta(t, 0.3*freshnessSample, below[300], 3)
	require.InDelta(t, 0.6*freshnessSample, below[600], 3)
	require.EqualValues(t, freshnessSample, below[1800])
}

func TestAReplaySaysNothingOfFreshness(t *testing.T) {
	b := setup(t)
	b.produce(100, 1000)
	j := JobOf(batch.Batch{Topic: topic, TopicID: b.id, Nonce: "n", Replay: true, Limits: b.job(0).Limits}, 0, b.job(99).Ranges)
	b.insert(j)
	b.exact(200)
	require.Zero(t, b.histogram("ingest_freshness_seconds").GetSampleCount())
	require.Equal(t, 200, b.metric("ingest_stored_rows_total"))
}

func TestABlockThatIsSentAgainIsCounted(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	j := b.job(299)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	var err error
	b.lose(b.deafen(), "SELECT count() FROM logs", func() { _, err = run[Inserted](b, b.Insert, in) })
	require.NoError(t, err)
	require.Equal(t, 1, b.metric("ingest_tokens_resent_total"))
	inserts := b.series("ingest_inserts_total")
	require.Equal(t, 6, inserts["ok "])
	require.Equal(t, 1, inserts["outage "])
	require.Equal(t, 588, b.metric("ingest_stored_rows_total"))

	_, err = run[Inserted](b, b.Insert, in, Progress{Done: 200, Doubt: true}) // by the next worker, which cannot know
	require.NoError(t, err)
	require.Equal(t, 2, b.metric("ingest_tokens_resent_total"), "the first block only")
}

func TestWhatBecameOfAnInsertIsCountedByWhoseTurnItIs(t *testing.T) {
	b := setup(t)
	b.constrain()
	b.logs(100, func(i int) bool { return i == 50 })
	j := b.part(99)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	_, err := run[Inserted](b, b.Insert, in)
	require.Error(t, err)
	require.NoError(t, b.conn.Exec(b.ctx, "RENAME TABLE logs TO away"))
	_, err = run[Inserted](b, b.Insert, in)
	require.Error(t, err)
	require.Equal(t, map[string]int{"ok ": 0, "outage ": 0, "blocked ": 1, "rejected ": 1}, b.series("ingest_inserts_total"))
	require.Zero(t, b.metric("ingest_insert_bytes_total"))
}

func TestWhatIsSkippedIsCounted(t *testing.T) {
	b := setup(t)
	for _, kind := range []Exception{ExceptionSkipped, ExceptionOpened} {
		_, err := run[any](b, b.Note, NoteInput{Job: b.job(9), Kind: kind, Reason: "why"})
		require.NoError(t, err)
	}
	require.Equal(t, 20, b.metric("ingest_skipped_offsets_total"))
	require.Zero(t, b.metric("ingest_lost_offsets_total"))
}

func TestEachAttemptOfAnActivityIsCountedByHowItEnds(t *testing.T) {
	b := setup(t)
	b.produce(10, 100)
	var s testsuite.WorkflowTestSuite
	env := s.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{b.Metrics.Attempts()}})
	env.RegisterActivity(b.Activities)
	_, err := env.ExecuteActivity(b.Look, b.job(9))
	require.NoError(t, err)
	_, err = env.ExecuteActivity(b.Look, Job{Topic: "another"})
	require.Error(t, err)
	attempts := b.series("ingest_activity_attempts_total")
	require.Equal(t, 1, attempts["Look ok "])
	require.Equal(t, 1, attempts["Look failed "])
	require.Equal(t, 2, b.metric("ingest_activity_attempts_total"))
}

func TestDecisionsThatWorkflowsTellOfAreCountedAndNothingElseIsTaken(t *testing.T) {
	reg := prometheus.NewRegistry()
	other := &tags{}
	h := NewMetrics(reg, []string{topic}).Decisions(other).WithTags(map[string]string{"namespace": "n", DecisionTopic: "x"})
	tell := func(topic, verb string) {
		h.WithTags(map[string]string{DecisionTopic: topic, DecisionVerb: verb}).Counter(DecisionCounter).Inc(1)
	}
	tell(topic, "retry")
	tell(topic, "retry")
	tell(topic, "skip")
	tell("unknown", "skip")
	tell(topic, "unknown")
	require.Equal(t, map[string]int{"accept ": 0, "approve ": 0, "dead_letter ": 0, "retry ": 2, "skip ": 1}, series(t, reg, "ingest_decisions_total"))
	h.Counter("temporal_request").Inc(3)
	require.Equal(t, []string{"temporal_request"}, other.counters)
}

// tags is a handler of somebody else.
type tags struct {
	client.MetricsHandler
	counters []string
}

func (h *tags) WithTags(map[string]string) client.MetricsHandler { return h }

func (h *tags) Counter(name string) client.MetricsCounter {
	h.counters = append(h.counters, name)
	return counted(func(int64) {})
}
