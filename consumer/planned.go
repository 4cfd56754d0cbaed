package main

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/planlog"
)

// places are where offsets of a completed batch end.
var places = []string{"stored", "present", "dead_letters", "skipped", "lost", "hole"}

// planned is what planners count.
type planned struct {
	batches, offsets, lost, restarted, vanished, completed *prometheus.CounterVec
	open, owner, stopped                                   *prometheus.GaugeVec
	round, records, bytes, seconds                         *prometheus.HistogramVec
}

func newPlanned(reg prometheus.Registerer, topics []string) *planned {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"topic"}, labels...))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"topic"})
	}
	m := &planned{
		batches:   counter("ingest_planned_batches_total", "Batches that this consumer appended to the plan log."),
		offsets:   counter("ingest_planned_offsets_total", "Offsets of the batches that this consumer appended."),
		lost:      counter("ingest_planned_lost_offsets_total", "Offsets that Kafka deleted before they were planned."),
		restarted: counter("ingest_restarted_batches_total", "Batches that somebody ended and that were started again."),
		vanished:  counter("ingest_vanished_batches_total", "Batches unknown to Temporal, whose offsets are planned again."),
		completed: counter("ingest_completed_offsets_total", "Offsets of completed batches, by where they ended.", "place"),
		open:      gauge("ingest_open_batches", "Batches that are not completed, as the planner knows them."),
		owner:     gauge("ingest_planner", "1 if this consumer plans the topic, else 0."),
		stopped:   gauge("ingest_topic_stopped", "1 while the topic stands still after a truncation, until an operator decides; else 0."),
		round:     newHistogram(f, "ingest_plan_round_seconds", "Duration of a planning round.", prometheus.ExponentialBuckets(0.001, 2, 14)),
		records:   newHistogram(f, "ingest_batch_records", "Records of each completed batch: its offsets without holes and what was lost.", prometheus.ExponentialBuckets(1, 4, 11)),
		bytes:     newHistogram(f, "ingest_batch_bytes", "Bytes of keys and values that each completed batch read from Kafka.", prometheus.ExponentialBuckets(1<<10, 4, 10)),
		seconds:   newHistogram(f, "ingest_batch_seconds", "From the start of each completed batch to its completion.", prometheus.ExponentialBuckets(0.0625, 2, 20)),
	}
	for _, t := range topics {
		for _, c := range []*prometheus.CounterVec{m.batches, m.offsets, m.lost, m.restarted, m.vanished} {
			c.WithLabelValues(t)
		}
		for _, p := range places {
			m.completed.WithLabelValues(t, p)
		}
		for _, h := range []*prometheus.HistogramVec{m.round, m.records, m.bytes, m.seconds} {
			h.WithLabelValues(t)
		}
		m.owner.WithLabelValues(t)
		m.open.WithLabelValues(t)
	}
	return m
}

// newHistogram has buckets for scrapers that know no native histograms, too.
func newHistogram(f promauto.Factory, name, help string, buckets []float64) *prometheus.HistogramVec {
	return f.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, []string{"topic"})
}

// observer counts what the planner tells; lasted is how long a batch took from its start to its completion, if that is known.
func (m *planned) observer(topic string, lasted func(id string) (time.Duration, bool)) planlog.Observer {
	return planlog.Observer{
		Planned: func(b batch.Batch) {
			m.batches.WithLabelValues(topic).Inc()
			m.offsets.WithLabelValues(topic).Add(float64(b.Ranges.Len()))
		},
		Lost: func(b batch.Batch) { m.lost.WithLabelValues(topic).Add(float64(b.Lost.Len())) },
		Completed: func(b batch.Batch, o batch.Outcome) {
			for place, n := range map[string]int64{"stored": o.Stored, "present": o.Present, "dead_letters": o.DeadLettered, "skipped": o.Skipped, "lost": o.Lost, "hole": o.Holes} {
				m.completed.WithLabelValues(topic, place).Add(float64(max(0, n))) // a counter that is told to go back ends the program
			}
			m.records.WithLabelValues(topic).Observe(float64(o.Offsets - o.Holes - o.Lost))
			m.bytes.WithLabelValues(topic).Observe(float64(o.Bytes))
			if d, ok := lasted(b.ID()); ok {
				m.seconds.WithLabelValues(topic).Observe(d.Seconds())
			}
		},
		Restarted: func(batch.Batch) { m.restarted.WithLabelValues(topic).Inc() },
		Vanished:  func(batch.Batch) { m.vanished.WithLabelValues(topic).Inc() },
	}
}

// show takes the end of a round. An error that says something else than a truncation says nothing of one.
func (m *planned) show(topic string, s planlog.Snapshot, took time.Duration, err error) {
	m.round.WithLabelValues(topic).Observe(took.Seconds())
	m.open.WithLabelValues(topic).Set(float64(s.Open))
	switch {
	case err == nil:
		m.stopped.WithLabelValues(topic).Set(0)
	case errors.Is(err, planlog.ErrTruncated):
		m.stopped.WithLabelValues(topic).Set(1)
	}
}

func (m *planned) owns(topic string, yes bool) {
	m.open.WithLabelValues(topic).Set(0)
	if !yes {
		m.owner.WithLabelValues(topic).Set(0)
		m.stopped.DeleteLabelValues(topic)
		return
	}
	m.owner.WithLabelValues(topic).Set(1)
	m.stopped.WithLabelValues(topic).Set(0)
}
