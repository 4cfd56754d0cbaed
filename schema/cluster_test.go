package schema_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/schema"
)

func TestAClusterThatDoesNotFitIsReportedAndNothingIsChanged(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	apply := func(cluster string) error {
		return schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database, Cluster: cluster})
	}
	var bad *schema.MismatchError
	err := apply("nowhere")
	require.ErrorAs(t, err, &bad)
	require.ErrorContains(t, err, "CLICKHOUSE_CLUSTER is nowhere, and the server knows none of that name but: ")
	require.Empty(t, strs(t, conn, "SELECT groupArray(name) FROM system.tables WHERE database = ?", cfg.Database))

	require.NoError(t, apply(""))
	err = apply("nowhere")
	require.ErrorAs(t, err, &bad)
	require.Len(t, bad.Problems, 6)
	require.ErrorContains(t, err, "table logs is not replicated: unset CLICKHOUSE_CLUSTER, or set CLICKHOUSE_DATABASE to another database")
}

func TestADatabaseOfAnUnknownClusterIsRefusedAtOnce(t *testing.T) {
	cfg := clickhousetest.Server(t)
	cfg.Cluster = "nowhere"
	err := clickhouse.CreateDatabase(t.Context(), cfg)
	require.ErrorContains(t, err, "CLICKHOUSE_CLUSTER is nowhere, and the server knows none of that name")
	require.Equal(t, clickhouse.Blocked, clickhouse.Classify(err).Class, "nobody waits for it")
	cfg.Cluster = ""
	require.NoError(t, clickhouse.CreateDatabase(t.Context(), cfg))
}

// The server of these tests has no replicated tables: what it would print of one is text.
func TestWindowsOfReplicatedTablesAreRead(t *testing.T) {
	defaults := map[string]uint64{"non_replicated_deduplication_window": 0, "replicated_deduplication_window": 10_000, "replicated_deduplication_window_seconds": 3600}
	const ours = "ReplicatedMergeTree('/clickhouse/tables/{shard}/agents/logs', '{replica}') PARTITION BY toYYYYMM(timestamp) ORDER BY (service, toStartOfSecond(timestamp)) " +
		"SETTINGS replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800, lightweight_mutation_projection_mode = 'rebuild', index_granularity = 8192"
	setting, size, seconds := schema.WindowOf("ReplicatedMergeTree", ours, defaults)
	require.Equal(t, "replicated_deduplication_window", setting)
	require.EqualValues(t, 100_000, size)
	require.EqualValues(t, 604_800, seconds)
	_, size, seconds = schema.WindowOf("ReplicatedMergeTree", "ReplicatedMergeTree('/x', '{replica}') ORDER BY n SETTINGS replicated_deduplication_window_seconds = 60", defaults)
	require.EqualValues(t, 10_000, size)
	require.EqualValues(t, 60, seconds)
}
