package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/ai-backlog/ingest/batch"
)

// View is a materialized view that an insert into a table runs.
type View struct {
	Database string
	Name     string
	UUID     string
	Create   string // the statement that makes it
	Select   string // its query
}

// String is database.name.
func (v View) String() string { return v.Database + "." + v.Name }

// Views are the materialized views that read from the table in the connection's
// database, directly. Errors are *Failure.
func Views(ctx context.Context, conn driver.Conn, table string) ([]View, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := conn.Query(ctx, `SELECT database, name, toString(uuid), create_table_query, as_select FROM system.tables WHERE engine = 'MaterializedView' AND (database, name) IN (
		SELECT arrayJoin(arrayZip(dependencies_database, dependencies_table)) FROM system.tables WHERE database = currentDatabase() AND name = ?) ORDER BY database, name`, table)
	if err != nil {
		return nil, Wrap(err, "list the views of %s", table)
	}
	defer func() { _ = rows.Close() }()
	var out []View
	for rows.Next() {
		var v View
		if err := rows.Scan(&v.Database, &v.Name, &v.UUID, &v.Create, &v.Select); err != nil {
			return nil, Wrap(err, "list the views of %s", table)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, Wrap(err, "list the views of %s", table)
	}
	return out, nil
}

// Refreshed tells whether it is filled by a schedule, not by inserts.
func (v View) Refreshed() bool { return strings.Contains(v.head(), " REFRESH ") }

// head is the statement up to the view's columns.
func (v View) head() string {
	before, _, _ := strings.Cut(v.Create, "(")
	return before
}

// Target is the table that the view fills, read from its own statement: older
// servers have no column for it.
func (v View) Target() (database, table string) {
	_, to, ok := strings.Cut(v.head(), " TO ")
	if !ok {
		if strings.Trim(v.UUID, "0-") == "" {
			return v.Database, ".inner." + v.Name
		}
		return v.Database, ".inner_id." + v.UUID
	}
	first, rest := identifier(to)
	if name, ok := strings.CutPrefix(rest, "."); ok {
		second, _ := identifier(name)
		return first, second
	}
	return v.Database, first
}

// Fill is the statement that puts the table's rows of these coordinates into the
// view's target, as an insert of them would have. It is for people: a view whose
// query names its table in more than one place has to be adapted.
func (v View) Fill(database, table string, id batch.TopicID, ranges batch.Ranges) string {
	var where []string
	for _, r := range ranges {
		where = append(where, fmt.Sprintf("_partition = %d AND _offset BETWEEN %d AND %d", r.Partition, r.First, r.Last))
	}
	rows := fmt.Sprintf("(SELECT * FROM %s.%s WHERE _topic_id = '%s' AND (%s)) AS %s", Quote(database), Quote(table), id, strings.Join(where, " OR "), Quote(table))
	query := v.Select
	for _, name := range []string{database + "." + table, Quote(database) + "." + Quote(table), Quote(database) + "." + table, database + "." + Quote(table)} {
		if before, after, ok := strings.Cut(query, "FROM "+name); ok {
			query = before + "FROM " + rows + after
			break
		}
	}
	to, name := v.Target()
	return "INSERT INTO " + Quote(to) + "." + Quote(name) + " " + query
}

// identifier reads a name, quoted or not.
func identifier(s string) (name, rest string) {
	if !strings.HasPrefix(s, "`") {
		end := strings.IndexAny(s, ". \n")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			if i < len(s) {
				_ = b.WriteByte(s[i])
			}
		case '`':
			return b.String(), s[i+1:]
		default:
			_ = b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
