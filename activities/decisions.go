package activities

import (
	"maps"
	"slices"

	"go.temporal.io/sdk/client"
)

// DecisionCounter is the counter by which a workflow tells that it has taken an operator's decision, with the tags
// DecisionTopic and DecisionVerb: the handler that a workflow counts with is silent while a history is replayed.
const (
	DecisionCounter = "ingest_decisions"
	DecisionTopic   = "topic"
	DecisionVerb    = "decision"
)

// decisions are the verbs of workflows.Verbs, which this package does not know.
var decisions = []string{"retry", "dead_letter", "approve", "accept", "skip"}

// Decisions is a handler for Temporal's client: what workflows tell of decisions is counted here, everything else goes to next.
func (m *Metrics) Decisions(next client.MetricsHandler) client.MetricsHandler {
	return decisionsHandler{MetricsHandler: next, m: m}
}

type decisionsHandler struct {
	client.MetricsHandler
	m    *Metrics
	tags map[string]string
}

// WithTags implements client.MetricsHandler.
func (h decisionsHandler) WithTags(tags map[string]string) client.MetricsHandler {
	all := maps.Clone(h.tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	return decisionsHandler{MetricsHandler: h.MetricsHandler.WithTags(tags), m: h.m, tags: all}
}

// Counter implements client.MetricsHandler.
func (h decisionsHandler) Counter(name string) client.MetricsCounter {
	if name != DecisionCounter {
		return h.MetricsHandler.Counter(name)
	}
	return counted(func(n int64) {
		if topic, verb := h.tags[DecisionTopic], h.tags[DecisionVerb]; h.m.knows(topic) && slices.Contains(decisions, verb) {
			h.m.decisions.WithLabelValues(topic, verb).Add(float64(n))
		}
	})
}

// counted is a client.MetricsCounter.
type counted func(int64)

// Inc implements client.MetricsCounter.
func (c counted) Inc(n int64) { c(n) }
