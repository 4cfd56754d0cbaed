package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-backlog/ingest/planlog"
)

// metrics are what the consumer shows: what its planners count, where partitions stand, and what Kafka and Temporal are asked for
// now and then. Topics are a closed set, partitions are Kafka's. What only the planner of a topic knows is shown by the consumer
// that plans it, and by no other: the sum over consumers, or the maximum, is right.
type metrics struct {
	*planned
	*readings
	positions *positions
	member    *membership
	owners    map[string]*owner
}

// owner is which assignment a topic is planned under; 0: not here.
type owner struct {
	mu         sync.Mutex
	assignment int64
}

func newMetrics(reg prometheus.Registerer, topics []string) *metrics {
	m := &metrics{planned: newPlanned(reg, topics), readings: newReadings(reg), positions: newPositions(reg), member: newMembership(reg), owners: map[string]*owner{}}
	for _, t := range topics {
		m.owners[t] = &owner{}
	}
	return m
}

// show sets the gauges to the planner's state after a round.
func (m *metrics) show(topic string, s planlog.Snapshot, took time.Duration, err error) {
	m.planned.show(topic, s, took, err)
	m.positions.show(topic, s)
}

// owns says under which assignment this consumer plans the topic. Each begins with nothing to show but what is counted.
func (m *metrics) owns(topic string, assignment int64) {
	o := m.owners[topic]
	o.mu.Lock()
	defer o.mu.Unlock()
	o.assignment = assignment
	m.planned.owns(topic, assignment != 0)
	m.positions.forget(topic)
	m.forget(topic)
}

// while shows what was read under an assignment, unless that is over.
func (m *metrics) while(topic string, assignment int64, show func()) {
	o := m.owners[topic]
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.assignment == assignment {
		show()
	}
}
