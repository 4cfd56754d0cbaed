package monitor

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reading is a gauge of what a server is asked for now and then. What was not read again within its life is not shown: while the
// server is away its last answer would be a lie.
type Reading struct {
	desc *prometheus.Desc
	life time.Duration

	mu sync.Mutex
	by map[string]read // by its labels
}

// read is one answer.
type read struct {
	labels []string
	value  float64
	at     time.Time
}

// NewReading registers a gauge that shows nothing yet.
func NewReading(reg prometheus.Registerer, life time.Duration, name, help string, labels ...string) *Reading {
	r := &Reading{desc: prometheus.NewDesc(name, help, labels, nil), life: life, by: map[string]read{}}
	reg.MustRegister(r)
	return r
}

// Set shows a value that was read just now.
func (r *Reading) Set(value float64, labels ...string) {
	labels = valid(labels)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[strings.Join(labels, "\xff")] = read{labels: labels, value: value, at: time.Now()}
}

// valid is labels as Prometheus takes them: one that is not UTF-8, as a name in ClickHouse may be, would make an error of all metrics.
func valid(labels []string) []string {
	out := make([]string, len(labels))
	for n, l := range labels {
		out[n] = strings.ToValidUTF8(l, "\uFFFD")
	}
	return out
}

// Forget shows nothing of the series whose labels begin with these any more.
func (r *Reading) Forget(labels ...string) {
	labels = valid(labels)
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.by {
		if len(v.labels) >= len(labels) && slices.Equal(v.labels[:len(labels)], labels) {
			delete(r.by, k)
		}
	}
}

// Describe implements prometheus.Collector.
func (r *Reading) Describe(ch chan<- *prometheus.Desc) { ch <- r.desc }

// Collect implements prometheus.Collector.
func (r *Reading) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.by {
		if time.Since(v.at) > r.life {
			delete(r.by, k)
			continue
		}
		ch <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, v.value, v.labels...)
	}
}
