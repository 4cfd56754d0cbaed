package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/monitor"
)

// groupStates are all that Kafka knows of a classic group.
var groupStates = []string{"Stable", "PreparingRebalance", "CompletingRebalance", "Empty", "Dead"}

// membership shows the consumer group: every member asks for the whole of it, and tells of its own assignments.
type membership struct {
	members, state     *monitor.Reading
	rebalances, latest *prometheus.Desc
	of                 atomic.Pointer[kafka.Member]
}

func newMembership(reg prometheus.Registerer) *membership {
	m := &membership{
		members:    monitor.NewReading(reg, 3*groupEvery, "ingest_group_members", "Members of the consumer group. Each consumer shows them all: take the maximum."),
		state:      monitor.NewReading(reg, 3*groupEvery, "ingest_group_state", "1 for the state that the consumer group is in, else 0: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead.", "state"),
		rebalances: prometheus.NewDesc("ingest_rebalances_total", "Assignments that this consumer got from its group.", nil, nil),
		latest:     prometheus.NewDesc("ingest_last_rebalance_timestamp_seconds", "When this consumer got its last assignment, in Unix time; absent before the first.", nil, nil),
	}
	reg.MustRegister(m)
	return m
}

// Describe implements prometheus.Collector.
func (m *membership) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.rebalances
	ch <- m.latest
}

// Collect implements prometheus.Collector.
func (m *membership) Collect(ch chan<- prometheus.Metric) {
	n := int64(0)
	if member := m.of.Load(); member != nil {
		count, last := member.Rebalances()
		if n = count; n > 0 {
			ch <- prometheus.MustNewConstMetric(m.latest, prometheus.GaugeValue, float64(last.UnixMilli())/1000)
		}
	}
	ch <- prometheus.MustNewConstMetric(m.rebalances, prometheus.CounterValue, float64(n))
}

// read asks the group's coordinator.
func (m *membership) read(ctx context.Context, member *kafka.Member, group string) error {
	groups, err := kadm.NewClient(member.Client).DescribeGroups(ctx, group)
	if err == nil {
		err = groups[group].Err
	}
	if err != nil {
		return fmt.Errorf("describe group %s: %w", group, err)
	}
	g := groups[group]
	m.members.Set(float64(len(g.Members)))
	for _, s := range groupStates {
		m.state.Set(map[bool]float64{true: 1}[s == g.State], s)
	}
	return nil
}
