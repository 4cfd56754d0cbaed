package record

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

func columns(t *testing.T, kind Kind, text string, at Coordinates) map[string]any {
	t.Helper()
	b := NewBlock(kind)
	require.NoError(t, b.Append([]byte(text), at))
	out := map[string]any{}
	for name, get := range stored(t, b) {
		out[name] = get(0)
	}
	return out
}

func TestFullRecordsFillEveryColumn(t *testing.T) {
	id := uuid.MustParse("0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6")
	with := func(own map[string]any) map[string]any {
		for name, v := range map[string]any{
			"_topic": "ai_backlog_logs", "_topic_id": uuid.UUID{1, 2, 3}, "_partition": int64(7), "_offset": int64(42), "_kafka_timestamp": int64(1_758_175_383_123),
			"event_id": id, "service": "checkout", "agent_id": "a-1",
		} {
			own[name] = v
		}
		return own
	}
	require.Equal(t, with(map[string]any{
		"timestamp": time.Date(2026, 9, 18, 3, 43, 3, 1000, time.UTC).UnixMicro(), "level": "info", "message": "Grüße 😀 \"x\"\n", "trace_id": "t", "span_id": "s",
		"attributes": pairs{{"a", "b"}, {"n", "1.50e3"}, {"t", "true"}, {"f", "false"}}, "extra": `{"x":{"y":[1, null]},"z":null}`,
	}), columns(t, Log, goodLog, origin(42)))
	require.Equal(t, with(map[string]any{
		"timestamp": int64(1_758_175_383_250_000), "name": "queue.depth", "value": -0.0125, "unit": "ms",
		"tags": pairs{{"region", "eu-central-1"}, {"shard", "7"}}, "extra": `{"host":"h"}`,
	}), columns(t, Metric, goodMetric, origin(42)))
	require.Equal(t, with(map[string]any{
		"timestamp": int64(1_758_175_383_250_000), "type": "task.done", "task_id": "k", "trace_id": "t",
		"payload": `{"steps":[{"tool":"grep","ms":12},{"tool":"edit","ms":3}],"ok":true}`, "extra": `{"extra":"e"}`,
	}), columns(t, Event, goodEvent, origin(42)))
}

func TestAbsentFieldsAreStoredAsDefaults(t *testing.T) {
	got := columns(t, Log, minimal(Log), Coordinates{Timestamp: time.UnixMilli(0)})
	for name, v := range got {
		switch name {
		case "timestamp", "_partition", "_offset", "_kafka_timestamp":
			require.Equal(t, int64(0), v, name)
		case "event_id", "_topic_id":
			require.Equal(t, uuid.UUID{}, v, name)
		case "attributes":
			require.Equal(t, pairs{}, v)
		default:
			require.Empty(t, v, name)
		}
	}
	require.Empty(t, columns(t, Event, with(Event, `"payload":null`), origin(0))["payload"])
	require.Equal(t, `"null"`, columns(t, Event, with(Event, `"payload":"null"`), origin(0))["payload"])
}

func TestUnixTimesGoByMagnitude(t *testing.T) {
	want := time.Date(2025, 9, 18, 6, 3, 3, 250_000_000, time.UTC).UnixMicro()
	for _, text := range []string{"1758175383.25", "1758175383250", "1758175383250000", "1758175383250000000", "1758175383250000999", "1.75817538325e9", "175817538325e-2"} {
		require.Equal(t, want, columns(t, Event, at(Event, text), origin(0))["timestamp"], text)
	}
	for text, want := range map[string]int64{
		"99999.9999999": 99_999_999_999, "0.0000009": 0, "9214646399.9999999": endMicros - 1,
		`"1970-01-01T00:00:00.9999999+00:01"`: -59_000_001, `"2261-12-31T23:59:59.999999-23:59"`: endMicros - 1 + 23*3_600_000_000 + 59*60_000_000,
	} {
		require.Equal(t, want, columns(t, Event, at(Event, text), origin(0))["timestamp"], text)
	}
}

// Producers write any number as timestamp; the record is not at fault.
func TestKafkaTimestampsThatTheColumnCannotHoldAreClamped(t *testing.T) {
	for given, want := range map[time.Time]int64{
		time.UnixMilli(-1):         -1,
		time.UnixMilli(1 << 62):    time.Date(2299, 12, 31, 23, 59, 59, 0, time.UTC).UnixMilli(),
		time.UnixMilli(-(1 << 62)): time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(),
		{}:                         time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(),
	} {
		require.Equal(t, want, columns(t, Log, minimal(Log), Coordinates{Timestamp: given})["_kafka_timestamp"])
	}
}

func TestTopicsOfOneBlockMayDiffer(t *testing.T) {
	b := NewBlock(Log)
	for i, topic := range []string{"a", "b", "b", "a"} {
		require.NoError(t, b.Append([]byte(minimal(Log)), Coordinates{Topic: topic, TopicID: batch.TopicID{byte(i)}}))
	}
	got := stored(t, b)
	require.Equal(t, []any{"a", "b", "b", "a"}, []any{got["_topic"](0), got["_topic"](1), got["_topic"](2), got["_topic"](3)})
	require.Equal(t, uuid.UUID{3}, got["_topic_id"](3))
}

func TestKinds(t *testing.T) {
	require.Equal(t, map[string]Kind{"ai_backlog_logs": Log, "ai_backlog_metrics": Metric, "ai_backlog_events": Event}, Topics())
	require.Equal(t, "metrics", Metric.Table())
	require.Equal(t, "kind(0)", Kind(0).String())
}
