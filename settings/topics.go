package settings

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/ai-backlog/ingest/record"
)

// Topics are where the records of each kind are.
type Topics struct {
	Logs    string `env:"TOPIC_LOGS" envDefault:"ai_backlog_logs"`
	Metrics string `env:"TOPIC_METRICS" envDefault:"ai_backlog_metrics"`
	Events  string `env:"TOPIC_EVENTS" envDefault:"ai_backlog_events"`
}

// Names are all topics.
func (t Topics) Names() []string { return []string{t.Logs, t.Metrics, t.Events} }

// Of is the kind's topic.
func (t Topics) Of(k record.Kind) string {
	switch k {
	case record.Metric:
		return t.Metrics
	case record.Event:
		return t.Events
	case record.Log:
	}
	return t.Logs
}

// With are the same topics but for the kind's.
func (t Topics) With(k record.Kind, topic string) Topics {
	switch k {
	case record.Log:
		t.Logs = topic
	case record.Metric:
		t.Metrics = topic
	case record.Event:
		t.Events = topic
	}
	return t
}

// Kinds are the kinds by topic.
func (t Topics) Kinds() map[string]record.Kind {
	return map[string]record.Kind{t.Logs: record.Log, t.Metrics: record.Metric, t.Events: record.Event}
}

// topicName is what Kafka allows; a name is part of workflow IDs.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Validate reports every problem at once.
func (t Topics) Validate() error {
	var errs []error
	seen := map[string]string{}
	for _, v := range [][2]string{{"TOPIC_LOGS", t.Logs}, {"TOPIC_METRICS", t.Metrics}, {"TOPIC_EVENTS", t.Events}} {
		if !topicName.MatchString(v[1]) {
			errs = append(errs, fmt.Errorf("%s is %q: give a topic's name, of letters, digits, dots, dashes and underscores, 249 at most", v[0], v[1]))
		}
		if other := seen[v[1]]; other != "" {
			errs = append(errs, fmt.Errorf("%s is %q, which %s is too: give each kind a topic of its own", v[0], v[1], other))
		}
		seen[v[1]] = v[0]
	}
	return errors.Join(errs...)
}
