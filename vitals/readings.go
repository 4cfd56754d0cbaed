package vitals

import (
	"context"
	"time"

	settings "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/ai-backlog/ingest/clickhouse"
)

// reading is one question, and the gauges that show its answer: a row's texts are labels, of its numbers each is a gauge's.
type reading struct {
	of     string // what is left out, if it cannot be read
	sql    string
	labels int
	gauges []*series
}

// tables are those of our database that have parts, so that one without any shows 0.
const tables = `(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')`

// readings are all of them. Each scans what the server keeps in memory anyway, but for the last.
func (m *metrics) readings() []reading {
	return []reading{
		{"disks", `SELECT name, toFloat64(total_space), toFloat64(free_space) FROM system.disks`, 1, []*series{m.diskTotal, m.diskFree}},
		{"parts", `SELECT table, toFloat64(sum(r)), toFloat64(sum(b)), toFloat64(sum(n)), toFloat64(max(n)) FROM (
			SELECT table, sum(rows) AS r, sum(bytes_on_disk) AS b, count() AS n FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table, partition_id
			UNION ALL SELECT name AS table, 0 AS r, 0 AS b, 0 AS n FROM ` + tables + `) GROUP BY table`, 1, []*series{m.rows, m.bytes, m.parts, m.maxParts}},
		{"limit of parts", `SELECT toFloat64(value) FROM system.merge_tree_settings WHERE name = 'parts_to_throw_insert'`, 0, []*series{m.partsLimit}},
		{"merges", `SELECT table, toFloat64(sum(n)) FROM (SELECT table, 1 AS n FROM system.merges WHERE database = currentDatabase()
			UNION ALL SELECT name AS table, 0 AS n FROM ` + tables + `) GROUP BY table`, 1, []*series{m.merges}},
		{"mutations", `SELECT table, toFloat64(sum(n)) FROM (SELECT table, 1 AS n FROM system.mutations WHERE database = currentDatabase() AND NOT is_done
			UNION ALL SELECT name AS table, 0 AS n FROM ` + tables + `) GROUP BY table`, 1, []*series{m.mutations}},
		{"replicas", `SELECT table, toFloat64(queue_size), toFloat64(absolute_delay) FROM system.replicas WHERE database = currentDatabase()`, 1, []*series{m.replicationQueue, m.replicationDelay}},
		{"query log", `SELECT kind, sumIf(n, ok) / 180, sumIf(n, NOT ok) / 180 FROM (
			SELECT ` + kind + ` AS kind, type = 'QueryFinish' AS ok, count() AS n ` + queries + ` GROUP BY kind, ok
			UNION ALL SELECT arrayJoin(['insert', 'select', 'other']) AS kind, 1 AS ok, 0 AS n) GROUP BY kind`, 1, []*series{m.queries, m.failures}},
		{"query log", `SELECT kind, q.1, q.2 FROM (SELECT ` + kind + ` AS kind,
			arrayZip(['0.5', '0.95', '0.99'], arrayMap(ms -> ms / 1000, quantiles(0.5, 0.95, 0.99)(query_duration_ms))) AS qs ` + queries + ` AND type = 'QueryFinish' GROUP BY kind) ARRAY JOIN qs AS q`, 2, []*series{m.querySeconds}},
	}
}

const (
	kind = `multiIf(query_kind IN ('Insert', 'AsyncInsertFlush'), 'insert', query_kind = 'Select', 'select', 'other')`
	// queries have ended in the last three minutes. The log is sorted by date and time.
	queries = `FROM system.query_log WHERE event_date >= toDate(now() - 180) AND event_time >= now() - 180 AND type != 'QueryStart'
		AND is_initial_query AND (current_database = currentDatabase() OR has(databases, currentDatabase()))`
)

// undated hides the deadline from the driver, which would put five seconds more than is left of it in the place of max_execution_time.
type undated struct{ context.Context } //nolint:containedctx // it is one

// Deadline implements context.Context.
func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// ask is the answer's rows. Errors are *clickhouse.Failure.
func (r reading) ask(ctx context.Context, conn driver.Conn) (out []row, err error) {
	rows, err := conn.Query(undated{settings.Context(ctx, settings.WithSettings(light))}, r.sql) //nolint:contextcheck // it is inherited
	if err != nil {
		return nil, clickhouse.Wrap(err, "read %s", r.of)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		one := row{labels: make([]string, r.labels), values: make([]float64, len(r.gauges))}
		var dest []any
		for n := range one.labels {
			dest = append(dest, &one.labels[n])
		}
		for n := range one.values {
			dest = append(dest, &one.values[n])
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, clickhouse.Wrap(err, "read %s", r.of)
		}
		out = append(out, one)
	}
	if err := rows.Err(); err != nil {
		return nil, clickhouse.Wrap(err, "read %s", r.of)
	}
	return out, nil
}

// show sets the gauges to what was read.
func (r reading) show(rows []row) {
	for n, g := range r.gauges {
		g.show(rows, n)
	}
}
