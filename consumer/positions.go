package main

import (
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-backlog/ingest/planlog"
)

// positionsLife is for how long partitions are shown as Kafka last told of them. It is asked every 200 ms.
const positionsLife = 30 * time.Second

// positions shows where the partitions of the topics that are planned here stand. When Kafka has told nothing for positionsLife,
// only the age of records that are known to be unfinished is still shown, since it still grows: a lag of 0 would be a lie.
type positions struct {
	start, end, low, next, lag, unplanned, seconds *prometheus.Desc

	mu sync.Mutex
	by map[string]*standing // by topic
}

// standing is where the partitions of a topic stand.
type standing struct {
	planlog.Snapshot
	oldest map[int32]oldest // of partitions with a lag
}

func newPositions(reg prometheus.Registerer) *positions {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"topic", "partition"}, nil)
	}
	p := &positions{
		start:     desc("ingest_log_start_offset", "Log start: the first offset that Kafka still has."),
		end:       desc("ingest_log_end_offset", "Last stable offset: one past the last record that can be read. Its rate is the production rate."),
		low:       desc("ingest_low_watermark_offset", "Everything below it is stored or dead-lettered. Its rate is what ends."),
		next:      desc("ingest_planned_offset", "Where the next batch starts. Its rate is what is planned."),
		lag:       desc("ingest_lag_offsets", "Offsets between the low watermark and the last stable offset."),
		unplanned: desc("ingest_unplanned_offsets", "Offsets that no batch owns yet."),
		seconds:   desc("ingest_lag_seconds", "Age, by Kafka's timestamp, of the record at the low watermark; 0 without a lag."),
		by:        map[string]*standing{},
	}
	reg.MustRegister(p)
	return p
}

// show takes what a planning round has learned. One in which Kafka did not answer changes nothing.
func (p *positions) show(topic string, s planlog.Snapshot) {
	if s.Looked.IsZero() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.by[topic]
	now := &standing{Snapshot: s, oldest: map[int32]oldest{}}
	for part, end := range s.End {
		low := s.Low[part]
		if low >= end {
			continue
		}
		o := oldest{}
		if old != nil && old.TopicID == s.TopicID {
			var lagged bool
			if o, lagged = old.oldest[part]; !lagged {
				o = begins(low, time.Now())
			}
		}
		now.oldest[part] = o.at(low, time.Now())
	}
	p.by[topic] = now
}

func (p *positions) forget(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, topic)
}

// lagging is the partitions with a lag, and what is known of each one's oldest record.
func (p *positions) lagging(topic string) (planlog.Snapshot, map[int32]oldest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.by[topic]
	if s == nil || time.Since(s.Looked) > positionsLife {
		return planlog.Snapshot{}, nil
	}
	return s.Snapshot, maps.Clone(s.oldest)
}

// learn takes what was found of a partition as it stood then, unless its lag is over.
func (p *positions) learn(topic string, part int32, then planlog.Snapshot, found oldest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.by[topic]
	if s == nil || s.TopicID != then.TopicID {
		return
	}
	if _, lags := s.oldest[part]; lags {
		found.low = then.Low[part]
		s.oldest[part] = found.at(s.Low[part], time.Now())
	}
}

// age is the partition's lag in seconds. Without news of Kafka it is that of a record only that is unfinished for certain.
func (s *standing) age(part int32, now time.Time, news bool) (time.Duration, bool) {
	o, lags := s.oldest[part]
	switch {
	case !lags:
		return 0, news
	case !news && (o.none || o.passed):
		return 0, false
	}
	return o.age(now)
}

// Describe implements prometheus.Collector.
func (p *positions) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.start, p.end, p.low, p.next, p.lag, p.unplanned, p.seconds} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *positions) Collect(ch chan<- prometheus.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for topic, s := range p.by {
		known := now.Sub(s.Looked) <= positionsLife
		for part, end := range s.End {
			gauge := func(d *prometheus.Desc, v float64) {
				ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, topic, strconv.Itoa(int(part)))
			}
			if age, ok := s.age(part, now, known); ok {
				gauge(p.seconds, age.Seconds())
			}
			if !known {
				continue
			}
			gauge(p.start, float64(s.Start[part]))
			gauge(p.end, float64(end))
			gauge(p.low, float64(s.Low[part]))
			gauge(p.next, float64(s.Next[part]))
			gauge(p.lag, float64(max(0, end-s.Low[part])))
			gauge(p.unplanned, float64(s.Unplanned[part]))
		}
	}
}
