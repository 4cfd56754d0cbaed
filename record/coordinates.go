package record

import (
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
)

// Coordinates say where a record is in Kafka. Topic ID, partition and offset
// are its identity, and with the others columns of its row.
type Coordinates struct {
	Topic     string
	TopicID   batch.TopicID
	Partition int32
	Offset    int64
	// Timestamp is the one of the Kafka message. A producer can write any number
	// there; what the column cannot hold (before 1900, after 2299) is stored as
	// the nearest that it can, since the record is not at fault.
	Timestamp time.Time
}

type coordinates struct {
	topic      *clickhouse.Words
	topicID    *clickhouse.UUIDs
	partition  *clickhouse.Int32s
	offset     *clickhouse.Int64s
	timestamp  *clickhouse.Int64s
	topicBytes []byte
}

func newCoordinates() coordinates {
	return coordinates{
		topic:     clickhouse.NewWords(),
		topicID:   clickhouse.NewUUIDs(),
		partition: clickhouse.NewInt32s(),
		offset:    clickhouse.NewInt64s(),
		timestamp: clickhouse.NewMillis(),
	}
}

func (c *coordinates) append(at Coordinates) {
	c.topicBytes = append(c.topicBytes[:0], at.Topic...)
	c.topic.Append(c.topicBytes)
	c.topicID.Append(at.TopicID)
	c.partition.Append(at.Partition)
	c.offset.Append(at.Offset)
	c.timestamp.Append(StorableMillis(at.Timestamp))
}

// StorableMillis is the time of a Kafka message in milliseconds since 1970, or the nearest that a DateTime64(3) column holds.
func StorableMillis(t time.Time) int64 {
	return min(max(t.UnixMilli(), clickhouse.MinDateTime64*1000), clickhouse.MaxDateTime64*1000)
}

func (c *coordinates) input() proto.Input {
	return proto.Input{
		{Name: "_topic", Data: c.topic},
		{Name: "_topic_id", Data: c.topicID},
		{Name: "_partition", Data: c.partition},
		{Name: "_offset", Data: c.offset},
		{Name: "_kafka_timestamp", Data: c.timestamp},
	}
}
