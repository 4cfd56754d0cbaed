package activities

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/ai-backlog/ingest/record"
)

// Metrics count what activities did. A resent block counts again: these are for
// watching, the books are in the workflows' outcomes.
type Metrics struct {
	stored, present, dead, lostOffsets *prometheus.CounterVec
	looks                              *prometheus.CounterVec
	insertSeconds, lookSeconds         *prometheus.HistogramVec
}

// NewMetrics registers the metrics; counters of the known topics start at 0.
func NewMetrics(reg prometheus.Registerer, topics []string) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		stored:        f.NewCounterVec(prometheus.CounterOpts{Name: "ingest_stored_rows_total", Help: "Rows of blocks that ClickHouse acknowledged."}, []string{"topic"}),
		present:       f.NewCounterVec(prometheus.CounterOpts{Name: "ingest_present_records_total", Help: "Offsets that a look found stored or dead-lettered already."}, []string{"topic"}),
		dead:          f.NewCounterVec(prometheus.CounterOpts{Name: "ingest_dead_letters_total", Help: "Records routed to the dead letters, by what the decoder found; rejected: the server refuses them; decided: by an operator."}, []string{"topic", "reason"}),
		lostOffsets:   f.NewCounterVec(prometheus.CounterOpts{Name: "ingest_lost_offsets_total", Help: "Offsets that Kafka deleted before they were read."}, []string{"topic"}),
		looks:         f.NewCounterVec(prometheus.CounterOpts{Name: "ingest_looks_total", Help: "Looks, by whether they found something."}, []string{"topic", "found"}),
		insertSeconds: f.NewHistogramVec(prometheus.HistogramOpts{Name: "ingest_insert_seconds", Help: "Duration of one block's insert, with its blips.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14)}, []string{"topic"}),
		lookSeconds:   f.NewHistogramVec(prometheus.HistogramOpts{Name: "ingest_look_seconds", Help: "Duration of one look.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"topic"}),
	}
	for _, t := range topics {
		for _, c := range []*prometheus.CounterVec{m.stored, m.present, m.lostOffsets} {
			c.WithLabelValues(t)
		}
		m.looks.WithLabelValues(t, "yes")
		m.looks.WithLabelValues(t, "no")
		for _, r := range record.Reasons() {
			m.dead.WithLabelValues(t, string(r))
		}
		for _, class := range []Class{Rejected, Decided} {
			m.dead.WithLabelValues(t, string(class))
		}
	}
	return m
}

func (m *Metrics) inserted(topic string, rows int, took time.Duration) {
	m.stored.WithLabelValues(topic).Add(float64(rows))
	m.insertSeconds.WithLabelValues(topic).Observe(took.Seconds())
}

func (m *Metrics) looked(topic string, s Seen, took time.Duration) {
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

func (m *Metrics) lost(topic string, n int64) { m.lostOffsets.WithLabelValues(topic).Add(float64(n)) }
