-- Offsets that will never be rows, as ranges with both ends included: lost (Kafka deleted them before they were read), skipped (an operator
-- dropped them), opened (before the starting position: never ours). Temporal forgets after its retention; audit reads this.
CREATE TABLE IF NOT EXISTS {{.Database}}.ingest_exceptions{{.OnCluster}}
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
ENGINE = {{.MergeTree}}
ORDER BY (_topic, _partition, first)
SETTINGS {{.Window}}
