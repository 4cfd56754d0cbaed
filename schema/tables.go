package schema

// column is what an insert or a query of ours needs of a column.
type column struct{ name, kind string }

// table is what must be there once all migrations are applied.
type table struct {
	name    string
	columns []column
	looked  bool // has coordinates, and the projections that find them
	expires bool // by Options.TTLDays
}

const (
	word   = "LowCardinality(String)"
	micros = "DateTime64(6, 'UTC')"
	millis = "DateTime64(3, 'UTC')"
)

var coordinates = []column{
	{"_topic", word}, {"_topic_id", "UUID"}, {"_partition", "Int32"}, {"_offset", "Int64"}, {"_kafka_timestamp", millis}, {"_inserted_at", millis},
}

var tables = []table{
	{"logs", append([]column{
		{"timestamp", micros},
		{"level", word},
		{"message", "String"},
		{"event_id", "UUID"},
		{"service", word},
		{"agent_id", word},
		{"trace_id", "String"},
		{"span_id", "String"},
		{"attributes", "Map(LowCardinality(String), String)"},
		{"extra", "String"},
	}, coordinates...), true, true},
	{"metrics", append([]column{
		{"timestamp", micros},
		{"name", word},
		{"value", "Float64"},
		{"event_id", "UUID"},
		{"unit", word},
		{"service", word},
		{"agent_id", word},
		{"tags", "Map(LowCardinality(String), String)"},
		{"extra", "String"},
	}, coordinates...), true, true},
	{"events", append([]column{
		{"timestamp", micros},
		{"type", word},
		{"event_id", "UUID"},
		{"service", word},
		{"agent_id", word},
		{"task_id", "String"},
		{"trace_id", "String"},
		{"payload", "String"},
		{"extra", "String"},
	}, coordinates...), true, true},
	{"dead_letters", append([]column{
		{"key", "String"},
		{"value", "String"},
		{"headers", "Map(String, String)"},
		{"class", word},
		{"reason", word},
		{"code", "Int32"},
		{"message", "String"},
		{"batch", "String"},
		{"state", word},
	}, coordinates...), true, false},
	{"ingest_exceptions", []column{
		{"kind", word},
		{"_topic", word},
		{"_topic_id", "UUID"},
		{"_partition", "Int32"},
		{"first", "Int64"},
		{"last", "Int64"},
		{"batch", "String"},
		{"reason", "String"},
		{"at", millis},
	}, false, false},
}
