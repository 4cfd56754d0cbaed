package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/planlog"
)

// metrics are what planning gives. Topics are a closed set, partitions are
// Kafka's.
type metrics struct {
	batches, records, lost, restarted, vanished *prometheus.CounterVec
	completed                                   *prometheus.CounterVec
	open, owner                                 *prometheus.GaugeVec
	lag, unplanned                              *prometheus.GaugeVec
	round                                       *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer, topics []string) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"topic"}, labels...))
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append([]string{"topic"}, labels...))
	}
	m := &metrics{
		batches:   counter("ingest_planned_batches_total", "Batches that this consumer appended to the plan log."),
		records:   counter("ingest_planned_offsets_total", "Offsets of the batches that this consumer appended."),
		lost:      counter("ingest_planned_lost_offsets_total", "Offsets that Kafka deleted before they were planned."),
		restarted: counter("ingest_restarted_batches_total", "Batches that somebody ended and that were started again."),
		vanished:  counter("ingest_vanished_batches_total", "Batches unknown to Temporal, whose offsets are planned again."),
		completed: counter("ingest_completed_offsets_total", "Offsets of completed batches, by where they ended.", "place"),
		open:      gauge("ingest_open_batches", "Batches that are not completed."),
		owner:     gauge("ingest_planner", "1 if this consumer plans the topic."),
		lag:       gauge("ingest_lag_offsets", "Offsets between the low watermark and the last stable offset.", "partition"),
		unplanned: gauge("ingest_unplanned_offsets", "Offsets that no batch owns yet.", "partition"),
		round:     f.NewHistogramVec(prometheus.HistogramOpts{Name: "ingest_plan_round_seconds", Help: "Duration of a planning round.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"topic"}),
	}
	for _, t := range topics {
		for _, c := range []*prometheus.CounterVec{m.batches, m.records, m.lost, m.restarted, m.vanished} {
			c.WithLabelValues(t)
		}
		for _, p := range []string{"stored", "present", "dead_letters", "skipped", "lost", "hole"} {
			m.completed.WithLabelValues(t, p)
		}
		m.owner.WithLabelValues(t)
		m.open.WithLabelValues(t)
	}
	return m
}

// observer counts what the planner tells.
func (m *metrics) observer(topic string) planlog.Observer {
	return planlog.Observer{
		Planned: func(b batch.Batch) {
			m.batches.WithLabelValues(topic).Inc()
			m.records.WithLabelValues(topic).Add(float64(b.Ranges.Len()))
		},
		Lost: func(b batch.Batch) { m.lost.WithLabelValues(topic).Add(float64(b.Lost.Len())) },
		Completed: func(_ batch.Batch, o batch.Outcome) {
			for place, n := range map[string]int64{"stored": o.Stored, "present": o.Present, "dead_letters": o.DeadLettered, "skipped": o.Skipped, "lost": o.Lost, "hole": o.Holes} {
				m.completed.WithLabelValues(topic, place).Add(float64(n))
			}
		},
		Restarted: func(batch.Batch) { m.restarted.WithLabelValues(topic).Inc() },
		Vanished:  func(batch.Batch) { m.vanished.WithLabelValues(topic).Inc() },
	}
}

// show sets the gauges to the planner's state after a round.
func (m *metrics) show(topic string, s planlog.Snapshot, took time.Duration) {
	m.round.WithLabelValues(topic).Observe(took.Seconds())
	m.open.WithLabelValues(topic).Set(float64(s.Open))
	for p, end := range s.End {
		part := strconv.Itoa(int(p))
		m.lag.WithLabelValues(topic, part).Set(float64(max(0, end-s.Low[p])))
		m.unplanned.WithLabelValues(topic, part).Set(float64(s.Unplanned[p]))
	}
}

// owns says whether this consumer plans the topic; who does not shows no lag.
func (m *metrics) owns(topic string, yes bool) {
	if yes {
		m.owner.WithLabelValues(topic).Set(1)
		return
	}
	m.owner.WithLabelValues(topic).Set(0)
	m.open.WithLabelValues(topic).Set(0)
	m.lag.DeletePartialMatch(prometheus.Labels{"topic": topic})
	m.unplanned.DeletePartialMatch(prometheus.Labels{"topic": topic})
}
