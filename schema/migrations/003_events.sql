-- Coordinates (_topic_id, _partition, _offset) are a record's identity. The two aggregate projections answer, inside each part and so
-- atomic with its rows, which of them are here; queries must repeat their expressions to the letter.
-- Sorted for one type of event of one service over a time. A task or a trace is found by its index; to the second, as logs are.
CREATE TABLE IF NOT EXISTS {{.Database}}.events{{.OnCluster}}
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
ENGINE = {{.MergeTree}}
PARTITION BY toYYYYMM(timestamp)
ORDER BY (type, service, toStartOfSecond(timestamp))
SETTINGS {{.Window}}, lightweight_mutation_projection_mode = 'rebuild'
