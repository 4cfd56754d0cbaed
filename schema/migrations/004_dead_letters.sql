-- Coordinates (_topic_id, _partition, _offset) are a record's identity. The two aggregate projections answer, inside each part and so
-- atomic with its rows, which of them are here; queries must repeat their expressions to the letter.
--
-- One row for a record that cannot be stored as it is. A row is never added a second time, since the look would count a double, and never
-- deleted while Kafka has the record, since the look would find it absent. So the state changes in place, when a redrive or an operator
-- has settled it: ALTER TABLE … UPDATE state = 'redriven' (or 'skipped') WHERE <coordinates> SETTINGS mutations_sync = 1. That is safe to run
-- twice, state is in no projection, and dead letters are few. A record whose state is redriven may be in its table too, any other may not.
--
-- What redrives and operators change is not in the sort key, which cannot be updated: state, class, reason, code and message.
--
-- Not partitioned: a token is remembered per partition of the table, and _inserted_at may pass midnight between a send and its resend.
-- headers keeps their order and repeated keys: a Map is an array of pairs.
CREATE TABLE IF NOT EXISTS {{.Database}}.dead_letters{{.OnCluster}}
(
    key String CODEC(ZSTD(1)),
    value String CODEC(ZSTD(3)),
    headers Map(String, String) CODEC(ZSTD(1)),
    class LowCardinality(String),
    reason LowCardinality(String),
    code Int32 CODEC(ZSTD(1)),
    message String CODEC(ZSTD(1)),
    batch String CODEC(ZSTD(1)),
    state LowCardinality(String) DEFAULT 'dead',
    _topic LowCardinality(String),
    _topic_id UUID CODEC(ZSTD(1)),
    _partition Int32 CODEC(T64, ZSTD(1)),
    _offset Int64 CODEC(ZSTD(1)),
    _kafka_timestamp DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    _inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    PROJECTION by_bucket (SELECT _topic_id, _partition, intDiv(_offset, 1024), count(), min(_offset), max(_offset)
        GROUP BY _topic_id, _partition, intDiv(_offset, 1024)) WITH SETTINGS (index_granularity = 256),
    PROJECTION by_word (SELECT _topic_id, _partition, intDiv(_offset, 64), count(), groupBitOr(bitShiftLeft(toUInt64(1), toUInt8(bitAnd(_offset, 63))))
        GROUP BY _topic_id, _partition, intDiv(_offset, 64)) WITH SETTINGS (index_granularity = 256)
)
ENGINE = {{.MergeTree}}
ORDER BY (_topic, _topic_id, _partition, _offset)
SETTINGS {{.Window}}, lightweight_mutation_projection_mode = 'rebuild'
