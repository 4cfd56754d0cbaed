package schema

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
)

// statements are all that creates something, in their order.
func statements(t *testing.T, o Options) []string {
	t.Helper()
	at := layoutOf(o)
	all, err := migrations(at)
	require.NoError(t, err)
	out := []string{clickhouse.CreateDatabaseSQL(o.Database, o.Cluster), at.records()}
	for _, m := range all {
		out = append(out, strings.TrimSpace(m.sql))
	}
	return out
}

var modes = map[string]Options{
	"testdata/one_server.sql": {Database: "agents"},
	"testdata/cluster.sql":    {Database: "agents", Cluster: "main"},
}

// What was released is never changed: tables of one server are as they were, and a change is a new migration at the end.
func TestTheSQLIsAsInTheGoldenFiles(t *testing.T) {
	for file, o := range modes {
		golden, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(golden), strings.Join(statements(t, o), ";\n\n")+";\n", file)
	}
}

// The server's own parser reads each statement, and means what we mean by it.
func TestTheServerUnderstandsTheSQLOfACluster(t *testing.T) {
	_, conn := clickhousetest.Database(t)
	for _, o := range modes {
		for _, sql := range statements(t, o) {
			var text string
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT formatQuerySingleLine(?)", sql).Scan(&text), sql)
			if o.Cluster == "" {
				require.NotContains(t, text, "ON CLUSTER")
				continue
			}
			require.Contains(t, text, " ON CLUSTER ")
			if strings.HasPrefix(text, "CREATE TABLE") {
				require.Contains(t, text, "ENGINE = "+replicatedAs)
			}
		}
	}
	for _, name := range []string{replicated, replicatedTime} {
		var n uint64
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count() FROM system.replicated_merge_tree_settings WHERE name = ?", name).Scan(&n))
		require.EqualValues(t, 1, n, name)
	}
}
