package activities

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/record"
)

// freshnessSample is of how many rows of a block the freshness is observed: enough for its percentiles, and nothing beside the
// hundred thousand that are stored meanwhile.
const freshnessSample = 64

// Metrics count what activities did. A resent block counts again: these are for
// watching, the books are in the workflows' outcomes. On the way of records a nil one counts nothing.
type Metrics struct {
	topics []string

	stored, present, dead, lostOffsets, skippedOffsets *prometheus.CounterVec
	readRecords, readBytes                             *prometheus.CounterVec
	inserts, insertBytes, resent                       *prometheus.CounterVec
	looks, viewFaults, decisions, attempts             *prometheus.CounterVec
	insertSeconds, lookSeconds, freshness              *prometheus.HistogramVec
}

// NewMetrics registers the metrics; counters of the known topics start at 0.
func NewMetrics(reg prometheus.Registerer, topics []string) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"topic"}, labels...))
	}
	m := &Metrics{
		topics:         topics,
		stored:         counter("ingest_stored_rows_total", "Rows of blocks that ClickHouse acknowledged."),
		present:        counter("ingest_present_records_total", "Offsets that a look found stored or dead-lettered already."),
		dead:           counter("ingest_dead_letters_total", "Records routed to the dead letters, by what the decoder found; rejected: the server refuses them; decided: by an operator.", "reason"),
		lostOffsets:    counter("ingest_lost_offsets_total", "Offsets that Kafka deleted before they were read."),
		skippedOffsets: counter("ingest_skipped_offsets_total", "Offsets that an operator dropped."),
		readRecords:    counter("ingest_read_records_total", "Records read from Kafka; again where a batch is tried again."),
		readBytes:      counter("ingest_read_bytes_total", "Bytes of the keys and values of records read from Kafka, uncompressed."),
		inserts:        counter("ingest_inserts_total", "INSERTs of blocks, by what came of them: ok; outage: tried again; blocked: an operator must mend it; rejected: a value or a view is at fault.", "result"),
		insertBytes:    counter("ingest_insert_bytes_total", "Bytes of the columns that ClickHouse acknowledged, uncompressed."),
		resent:         counter("ingest_tokens_resent_total", "Blocks sent under a deduplication token under which they may have been sent before: what became of them was not known."),
		looks:          counter("ingest_looks_total", "Looks, by whether they found something.", "found"),
		viewFaults:     counter("ingest_view_faults_total", "Errors of inserts that a materialized view threw after the table took the block; again at each try."),
		decisions:      counter("ingest_decisions_total", "Operators' decisions that a batch or redrive has taken; a retry that takes another one back counts as retry.", "decision"),
		attempts:       f.NewCounterVec(prometheus.CounterOpts{Name: "ingest_activity_attempts_total", Help: "Attempts of activities that ended, by whether they failed."}, []string{"activity", "result"}),
		insertSeconds:  f.NewHistogramVec(prometheus.HistogramOpts{Name: "ingest_insert_seconds", Help: "Duration of one block's insert in seconds, with its blips.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14)}, []string{"topic"}),
		lookSeconds:    f.NewHistogramVec(prometheus.HistogramOpts{Name: "ingest_look_seconds", Help: "Duration of one look in seconds.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"topic"}),
		freshness: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ingest_freshness_seconds", Help: "Seconds from a record's Kafka timestamp to ClickHouse's acknowledgement, of up to 64 rows of each block, evenly by their position in it; replays and redrives are left out.",
			Buckets:                     []float64{0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"topic"}),
	}
	m.start()
	return m
}

// results of an insert: the classes of its error, and none.
func results() []string {
	return []string{"ok", clickhouse.Outage.String(), clickhouse.Blocked.String(), clickhouse.Rejected.String()}
}

// start makes every series, so that a rate of the first count is one.
func (m *Metrics) start() {
	for _, t := range m.topics {
		for _, c := range []*prometheus.CounterVec{m.stored, m.present, m.lostOffsets, m.skippedOffsets, m.readRecords, m.readBytes, m.insertBytes, m.resent, m.viewFaults} {
			c.WithLabelValues(t)
		}
		for _, h := range []*prometheus.HistogramVec{m.insertSeconds, m.lookSeconds, m.freshness} {
			h.WithLabelValues(t)
		}
		m.looks.WithLabelValues(t, "yes")
		m.looks.WithLabelValues(t, "no")
		for _, r := range results() {
			m.inserts.WithLabelValues(t, r)
		}
		for _, d := range decisions {
			m.decisions.WithLabelValues(t, d)
		}
		for _, r := range record.Reasons() {
			m.dead.WithLabelValues(t, string(r))
		}
		for _, class := range []Class{Rejected, Decided} {
			m.dead.WithLabelValues(t, string(class))
		}
	}
	for _, a := range names() {
		m.attempts.WithLabelValues(a, attemptOK)
		m.attempts.WithLabelValues(a, attemptFailed)
	}
}

// knows keeps the label to the configured topics.
func (m *Metrics) knows(topic string) bool { return slices.Contains(m.topics, topic) }

func (m *Metrics) read(topic string, recs []*kgo.Record) {
	if m == nil {
		return
	}
	bytes := 0
	for _, r := range recs {
		bytes += len(r.Key) + len(r.Value)
	}
	m.readRecords.WithLabelValues(topic).Add(float64(len(recs)))
	m.readBytes.WithLabelValues(topic).Add(float64(bytes))
}

// tried counts one INSERT that was sent, or could not be.
func (m *Metrics) tried(topic string, err error, again bool) {
	if m == nil {
		return
	}
	result := "ok"
	if err != nil {
		result = clickhouse.Outage.String()
		var f *clickhouse.Failure
		if errors.As(err, &f) {
			result = f.Class.String()
		}
	}
	m.inserts.WithLabelValues(topic, result).Inc()
	if again {
		m.resent.WithLabelValues(topic).Inc()
	}
}

// inserted counts a block that was acknowledged just now.
func (m *Metrics) inserted(j Job, b *record.Block, took time.Duration) {
	if m == nil {
		return
	}
	m.stored.WithLabelValues(j.Topic).Add(float64(b.Rows()))
	m.insertBytes.WithLabelValues(j.Topic).Add(float64(b.Bytes()))
	m.insertSeconds.WithLabelValues(j.Topic).Observe(took.Seconds())
	if j.Letters || j.Replay {
		return
	}
	now, fresh := time.Now().UnixMilli(), m.freshness.WithLabelValues(j.Topic)
	for n := range min(b.Rows(), freshnessSample) {
		age := now - b.KafkaMillis(n*b.Rows()/min(b.Rows(), freshnessSample))
		fresh.Observe(max(0, float64(age)/1000)) // a producer's clock may be ahead
	}
}

func (m *Metrics) looked(topic string, s Seen, took time.Duration) {
	if m == nil {
		return
	}
	found := "no"
	if n := s.Stored + s.Dead; n > 0 {
		found = "yes"
		m.present.WithLabelValues(topic).Add(float64(n))
	}
	m.looks.WithLabelValues(topic, found).Inc()
	m.lookSeconds.WithLabelValues(topic).Observe(took.Seconds())
}

func (m *Metrics) deadLettered(topic string, reasons map[string]int64) {
	for r, n := range reasons {
		m.dead.WithLabelValues(topic, r).Add(float64(n))
	}
}

// noted counts offsets that will never be rows; a topic that this worker does not have is another's to show.
func (m *Metrics) noted(topic string, kind Exception, n int64) {
	switch {
	case !m.knows(topic):
	case kind == ExceptionLost:
		m.lostOffsets.WithLabelValues(topic).Add(float64(n))
	case kind == ExceptionSkipped:
		m.skippedOffsets.WithLabelValues(topic).Add(float64(n))
	}
}

func (m *Metrics) viewThrew(topic string) { m.viewFaults.WithLabelValues(topic).Inc() }
