CREATE DATABASE IF NOT EXISTS `agents`;

CREATE TABLE IF NOT EXISTS `agents`.ingest_migrations (version UInt32, name String, at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = MergeTree ORDER BY version SETTINGS non_replicated_deduplication_window = 100000;

-- Coordinates (_topic_id, _partition, _offset) are a record's identity. The two aggregate projections answer, inside each part and so
-- atomic with its rows, which of them are here; queries must repeat their expressions to the letter.
-- Sorted for the questions asked of logs: a service, or all of them, over a time. To the second only: rows of one second stay as they
-- arrived, which halves what merges cost, and a range of time still reads no more granules. toStartOfMinute would wrap after 2106.
-- ZSTD halves the disk. Attributes repeat so much that LZ4, the default, does nearly as well on them, for a fifth less CPU in merges.
CREATE TABLE IF NOT EXISTS `agents`.logs
(
    timestamp DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    level LowCardinality(String),
    message String CODEC(ZSTD(1)),
    event_id UUID CODEC(ZSTD(1)),
    service LowCardinality(String),
    agent_id LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String),
    extra String CODEC(ZSTD(1)),
    _topic LowCardinality(String),
    _topic_id UUID CODEC(ZSTD(1)),
    _partition Int32 CODEC(T64, ZSTD(1)),
    _offset Int64 CODEC(ZSTD(1)),
    _kafka_timestamp DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    _inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 4,
    PROJECTION by_bucket (SELECT _topic_id, _partition, intDiv(_offset, 1024), count(), min(_offset), max(_offset)
        GROUP BY _topic_id, _partition, intDiv(_offset, 1024)) WITH SETTINGS (index_granularity = 256),
    PROJECTION by_word (SELECT _topic_id, _partition, intDiv(_offset, 64), count(), groupBitOr(bitShiftLeft(toUInt64(1), toUInt8(bitAnd(_offset, 63))))
        GROUP BY _topic_id, _partition, intDiv(_offset, 64)) WITH SETTINGS (index_granularity = 256)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (service, toStartOfSecond(timestamp))
SETTINGS non_replicated_deduplication_window = 100000, lightweight_mutation_projection_mode = 'rebuild';

-- Coordinates (_topic_id, _partition, _offset) are a record's identity. The two aggregate projections answer, inside each part and so
-- atomic with its rows, which of them are here; queries must repeat their expressions to the letter.
-- Sorted for one metric of one service over a time, which is what a graph reads; to the second, as logs are.
CREATE TABLE IF NOT EXISTS `agents`.metrics
(
    timestamp DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    name LowCardinality(String),
    value Float64 CODEC(ZSTD(1)),
    event_id UUID CODEC(ZSTD(1)),
    unit LowCardinality(String),
    service LowCardinality(String),
    agent_id LowCardinality(String),
    tags Map(LowCardinality(String), String),
    extra String CODEC(ZSTD(1)),
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
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (name, service, toStartOfSecond(timestamp))
SETTINGS non_replicated_deduplication_window = 100000, lightweight_mutation_projection_mode = 'rebuild';

-- Coordinates (_topic_id, _partition, _offset) are a record's identity. The two aggregate projections answer, inside each part and so
-- atomic with its rows, which of them are here; queries must repeat their expressions to the letter.
-- Sorted for one type of event of one service over a time. A task or a trace is found by its index; to the second, as logs are.
CREATE TABLE IF NOT EXISTS `agents`.events
(
    timestamp DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    type LowCardinality(String),
    event_id UUID CODEC(ZSTD(1)),
    service LowCardinality(String),
    agent_id LowCardinality(String),
    task_id String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    payload String CODEC(ZSTD(1)),
    extra String CODEC(ZSTD(1)),
    _topic LowCardinality(String),
    _topic_id UUID CODEC(ZSTD(1)),
    _partition Int32 CODEC(T64, ZSTD(1)),
    _offset Int64 CODEC(ZSTD(1)),
    _kafka_timestamp DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    _inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    INDEX by_task task_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 4,
    PROJECTION by_bucket (SELECT _topic_id, _partition, intDiv(_offset, 1024), count(), min(_offset), max(_offset)
        GROUP BY _topic_id, _partition, intDiv(_offset, 1024)) WITH SETTINGS (index_granularity = 256),
    PROJECTION by_word (SELECT _topic_id, _partition, intDiv(_offset, 64), count(), groupBitOr(bitShiftLeft(toUInt64(1), toUInt8(bitAnd(_offset, 63))))
        GROUP BY _topic_id, _partition, intDiv(_offset, 64)) WITH SETTINGS (index_granularity = 256)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (type, service, toStartOfSecond(timestamp))
SETTINGS non_replicated_deduplication_window = 100000, lightweight_mutation_projection_mode = 'rebuild';

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
CREATE TABLE IF NOT EXISTS `agents`.dead_letters
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
ENGINE = MergeTree
ORDER BY (_topic, _topic_id, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 100000, lightweight_mutation_projection_mode = 'rebuild';

-- Offsets that will never be rows, as ranges with both ends included: lost (Kafka deleted them before they were read), skipped (an operator
-- dropped them), opened (before the starting position: never ours). Temporal forgets after its retention; audit reads this.
CREATE TABLE IF NOT EXISTS `agents`.ingest_exceptions
(
    kind LowCardinality(String),
    _topic LowCardinality(String),
    _topic_id UUID,
    _partition Int32,
    first Int64,
    last Int64,
    batch String,
    reason String,
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (_topic, _partition, first)
SETTINGS non_replicated_deduplication_window = 100000;
