package activities

import (
	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/record"
)

// letters is a block of the table dead_letters, with the copies beside it.
type letters struct {
	offsets batch.Ranges
	bytes   int64
	copies  []*kgo.Record

	topic, key, value, class, reason, message, batch proto.ColStr
	topicID                                          proto.ColUUID
	partition, code                                  proto.ColInt32
	offset                                           proto.ColInt64
	timestamp                                        *clickhouse.Int64s // clamped milliseconds, as in a row
	headers                                          *proto.ColMap[string, string]
}

func (l *letters) rows() int { return l.offset.Rows() }

func (l *letters) reset() { *l = letters{} }

// cause is why a record cannot be stored as it is.
type cause struct {
	class, reason, message string
	code                   int32 // ClickHouse's
}

// undecodable is a record that is at fault by itself.
func undecodable(bad *record.Rejected) cause {
	return cause{class: "undecodable", reason: string(bad.Reason), message: bad.Error()}
}

// refused is a record that the server does not take.
func refused(f *clickhouse.Failure) cause {
	return cause{class: string(Rejected), reason: f.Name, code: f.Code, message: short(f.Message)} // it may have the value in it, which is there already
}

// decided is a record that an operator wants out of the way.
func decided(v Verdict) cause {
	return cause{class: string(Decided), reason: v.Reason, code: int32(v.Code), message: v.Message} //nolint:gosec // the wire carries 32 bits
}

// label is the cause in metrics, where labels are a closed set.
func (c cause) label() string {
	if c.class == "undecodable" {
		return c.reason
	}
	return c.class
}

// add appends one record, raw, under its own coordinates.
func (l *letters) add(j Job, rec *kgo.Record, why cause) {
	if l.headers == nil {
		l.headers = proto.NewMap[string, string](new(proto.ColStr), new(proto.ColStr))
		l.timestamp = clickhouse.NewMillis()
	}
	l.offsets = append(l.offsets, batch.Range{Partition: rec.Partition, First: rec.Offset, Last: rec.Offset})
	l.bytes += int64(len(rec.Key) + len(rec.Value))
	l.copies = append(l.copies, copyOf(j, rec, why))
	l.topic.Append(j.Topic)
	l.topicID.Append(uuid.UUID(j.TopicID))
	l.partition.Append(rec.Partition)
	l.offset.Append(rec.Offset)
	l.timestamp.Append(record.StorableMillis(rec.Timestamp))
	l.key.AppendBytes(rec.Key)
	l.value.AppendBytes(rec.Value)
	kvs := make([]proto.KV[string, string], 0, len(rec.Headers))
	for _, h := range rec.Headers {
		kvs = append(kvs, proto.KV[string, string]{Key: h.Key, Value: string(h.Value)})
	}
	l.headers.AppendKV(kvs)
	l.class.Append(why.class)
	l.reason.Append(why.reason)
	l.code.Append(why.code)
	l.message.Append(why.message)
	l.batch.Append(j.Workflow)
}

func (l *letters) input() proto.Input {
	return proto.Input{
		{Name: "_topic", Data: lowCardinality(&l.topic)},
		{Name: "_topic_id", Data: &l.topicID},
		{Name: "_partition", Data: &l.partition},
		{Name: "_offset", Data: &l.offset},
		{Name: "_kafka_timestamp", Data: l.timestamp},
		{Name: "key", Data: &l.key},
		{Name: "value", Data: &l.value},
		{Name: "headers", Data: l.headers},
		{Name: "class", Data: lowCardinality(&l.class)},
		{Name: "reason", Data: lowCardinality(&l.reason)},
		{Name: "code", Data: &l.code},
		{Name: "message", Data: &l.message},
		{Name: "batch", Data: &l.batch},
	}
}

func lowCardinality(c *proto.ColStr) proto.ColInput {
	lc := new(proto.ColStr).LowCardinality()
	for i := range c.Rows() {
		lc.Append(c.Row(i))
	}
	return lc
}
