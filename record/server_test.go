package record

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/schema"
)

// The tables have exactly the columns that blocks bring, and a real server
// reads from them what was written.
func TestServerStoresWhatTheBlockHolds(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	inserter := clickhouse.NewInserter(cfg)
	t.Cleanup(func() { _ = inserter.Close() })
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))

	for _, kind := range Kinds() {
		b := NewBlock(kind)
		for i, text := range []string{
			full(kind), minimal(kind), manyKeys(kind, 100),
			at(kind, `"1970-01-01T00:00:00.000001+23:59"`), at(kind, `"2261-12-31T23:59:59.999999-23:59"`), at(kind, "1758175383.123456"),
		} {
			require.NoError(t, b.Append([]byte(text), origin(int64(i))))
		}
		for range 3 { // the block can be sent again: the token takes it once
			require.NoError(t, inserter.Insert(t.Context(), kind.Table(), b.Input(), "token/"+kind.String()))
		}
		rows, err := conn.Query(t.Context(), "SELECT "+asText(b)+" FROM "+kind.Table()+" ORDER BY _offset")
		require.NoError(t, err)
		got := [][]string{}
		for rows.Next() {
			var row []string
			require.NoError(t, rows.Scan(&row))
			got = append(got, row)
		}
		require.NoError(t, rows.Err())
		require.Len(t, got, 6)
		id := "0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6"
		at := "2025-09-18 06:03:03.123"
		from := []string{"ai_backlog_logs", "01020300-0000-0000-0000-000000000000", "7", "0", at}
		require.Equal(t, append(map[Kind][]string{
			Log: {
				"2026-09-18 03:43:03.000001", "info", "Grüße 😀 \"x\"\n", id, "checkout", "a-1", "t", "s",
				`{'a':'b','n':'1.50e3','t':'true','f':'false'}`, `{"x":{"y":[1, null]},"z":null}`,
			},
			Metric: {"2025-09-18 06:03:03.250000", "queue.depth", "-0.0125", id, "ms", "checkout", "a-1", `{'region':'eu-central-1','shard':'7'}`, `{"host":"h"}`},
			Event: {
				"2025-09-18 06:03:03.250000", "task.done", id, "checkout", "a-1", "k", "t",
				`{"steps":[{"tool":"grep","ms":12},{"tool":"edit","ms":3}],"ok":true}`, `{"extra":"e"}`,
			},
		}[kind], from...), got[0])
		require.Equal(t, "1969-12-31 00:01:00.000001", got[3][0])
		require.Equal(t, "2262-01-01 23:58:59.999999", got[4][0])
		require.Equal(t, "2025-09-18 06:03:03.123456", got[5][0])
	}
}

// asText is one array of all columns, each as text.
func asText(b *Block) string {
	var names []string
	for _, in := range b.Input() {
		names = append(names, "toString("+in.Name+")")
	}
	return "[" + strings.Join(names, ", ") + "]"
}
