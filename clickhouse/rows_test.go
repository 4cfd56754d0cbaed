package clickhouse_test

import (
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/schema"
)

// bundle is a database with the schema, and all that writes to it and reads it.
type bundle struct {
	cfg      clickhouse.Config
	conn     driver.Conn
	inserter *clickhouse.Inserter
	looker   *clickhouse.Looker
}

func setup(t *testing.T) bundle {
	t.Helper()
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	b := bundle{cfg: cfg, conn: conn, inserter: clickhouse.NewInserter(cfg), looker: clickhouse.NewLooker(conn)}
	t.Cleanup(func() { require.NoError(t, b.inserter.Close()) })
	return b
}

// count is the answer of a query for one number.
func (b bundle) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n uint64
	require.NoError(t, b.conn.QueryRow(t.Context(), sql, args...).Scan(&n))
	return int(n)
}

func (b bundle) exec(t *testing.T, sql string) {
	t.Helper()
	require.NoError(t, b.conn.Exec(t.Context(), sql))
}

// logged scans one row of the server's query log, which is written now and then.
func (b bundle) logged(t *testing.T, into any, sql string, args ...any) {
	t.Helper()
	var err error
	defer func() { require.NoError(t, err) }()
	require.Eventually(t, func() bool {
		if err = b.conn.Exec(t.Context(), "SYSTEM FLUSH LOGS"); err == nil {
			err = b.conn.QueryRow(t.Context(), sql, args...).Scan(into)
		}
		return err == nil
	}, 20*time.Second, 100*time.Millisecond, sql)
}

// rowsOf is a row for each offset of the ranges, month by month if asked.
func rowsOf(id batch.TopicID, rs batch.Ranges, months int) proto.Input {
	ts, topic, part, off := clickhouse.NewMicros(), clickhouse.NewUUIDs(), clickhouse.NewInt32s(), clickhouse.NewInt64s()
	const start, month = 1_700_000_000_000_000, 31 * 86_400_000_000
	for _, r := range rs {
		for o := r.First; o <= r.Last; o++ {
			ts.Append(start + o*1000 + o%int64(max(months, 1))*month)
			topic.Append(id)
			part.Append(r.Partition)
			off.Append(o)
		}
	}
	return proto.Input{{Name: "timestamp", Data: ts}, {Name: "_topic_id", Data: topic}, {Name: "_partition", Data: part}, {Name: "_offset", Data: off}}
}

func span(partition int32, first, last int64) batch.Ranges {
	return batch.Ranges{{Partition: partition, First: first, Last: last}}
}
