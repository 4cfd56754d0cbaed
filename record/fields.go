package record

import "github.com/ai-backlog/ingest/clickhouse"

// shape is what a field's JSON has to be, and its column.
type shape uint8

const (
	timeShape   shape = iota // RFC 3339 text or a Unix number → DateTime64(6)
	wordShape                // a string of which there are few → LowCardinality(String)
	textShape                // a string → String
	idShape                  // a UUID → UUID
	numberShape              // a number → Float64
	mapShape                 // an object of scalars → Map
	jsonShape                // anything → String
)

type field struct {
	name     string
	shape    shape
	required bool
}

// fields are the columns that a kind's records fill, required ones first.
func (k Kind) fields() []field {
	switch k {
	case Log:
		return []field{
			{"timestamp", timeShape, true},
			{"level", wordShape, true},
			{"message", textShape, true},
			{"event_id", idShape, false},
			{"service", wordShape, false},
			{"agent_id", wordShape, false},
			{"trace_id", textShape, false},
			{"span_id", textShape, false},
			{"attributes", mapShape, false},
		}
	case Metric:
		return []field{
			{"timestamp", timeShape, true},
			{"name", wordShape, true},
			{"value", numberShape, true},
			{"event_id", idShape, false},
			{"unit", wordShape, false},
			{"service", wordShape, false},
			{"agent_id", wordShape, false},
			{"tags", mapShape, false},
		}
	case Event:
		return []field{
			{"timestamp", timeShape, true},
			{"type", wordShape, true},
			{"event_id", idShape, false},
			{"service", wordShape, false},
			{"agent_id", wordShape, false},
			{"task_id", textShape, false},
			{"trace_id", textShape, false},
			{"payload", jsonShape, false},
		}
	}
	return nil
}

func (s shape) column() clickhouse.Column {
	switch s {
	case timeShape:
		return clickhouse.NewMicros()
	case wordShape:
		return clickhouse.NewWords()
	case idShape:
		return clickhouse.NewUUIDs()
	case numberShape:
		return clickhouse.NewFloat64s()
	case mapShape:
		return clickhouse.NewMap()
	default:
		return clickhouse.NewStrings()
	}
}
