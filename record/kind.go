package record

import "fmt"

// Kind is what a topic's records are. The zero Kind is none of them.
type Kind uint8

// The kinds; each has its topic, its table and its schema.
const (
	Log Kind = iota + 1
	Metric
	Event
)

// Kinds lists them all.
func Kinds() []Kind { return []Kind{Log, Metric, Event} }

// String is log, metric or event.
func (k Kind) String() string {
	switch k {
	case Log:
		return "log"
	case Metric:
		return "metric"
	case Event:
		return "event"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Table is the table's name: logs, metrics, events.
func (k Kind) Table() string { return k.String() + "s" }

// Topic is the topic's name unless the caller has configured another:
// ai_backlog_logs, ai_backlog_metrics, ai_backlog_events.
func (k Kind) Topic() string { return "ai_backlog_" + k.Table() }

// Topics maps the default topics to their kinds, a fresh map for the caller to
// change.
func Topics() map[string]Kind {
	topics := map[string]Kind{}
	for _, k := range Kinds() {
		topics[k.Topic()] = k
	}
	return topics
}
