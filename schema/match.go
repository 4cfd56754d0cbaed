package schema

import (
	"context"
	"fmt"
	"strings"

	"github.com/ai-backlog/ingest/clickhouse"
)

// MismatchError says that tables are there that are not the ones the pipeline
// writes to. Waiting does not cure it, and nothing was changed.
type MismatchError struct {
	Database string
	Problems []string // one line each: table, column, what to do
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("database %s does not fit: %s", e.Database, strings.Join(e.Problems, "; "))
}

// found is a table as the server has it.
type found struct {
	engine  string                 // with its settings and TTL
	columns map[string]foundColumn // by name
}

type foundColumn struct{ kind, computed string }

// tables reads the database's tables of our names.
func (a applier) tables(ctx context.Context) (map[string]found, error) {
	names := []string{records}
	for _, t := range tables {
		names = append(names, t.name)
	}
	out := map[string]found{}
	fail := func(err error) (map[string]found, error) {
		return nil, clickhouse.Wrap(err, "read the tables of %s", a.Database)
	}
	rows, err := a.conn.Query(ctx, "SELECT name, engine_full FROM system.tables WHERE database = ? AND name IN (?)", a.Database, names)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		t := found{columns: map[string]foundColumn{}}
		var name string
		if err := rows.Scan(&name, &t.engine); err != nil {
			return fail(err)
		}
		out[name] = t
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	columns, err := a.conn.Query(ctx, "SELECT table, name, type, default_kind FROM system.columns WHERE database = ? AND table IN (?)", a.Database, names)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = columns.Close() }()
	for columns.Next() {
		var name, column string
		var c foundColumn
		if err := columns.Scan(&name, &column, &c.kind, &c.computed); err != nil {
			return fail(err)
		}
		if t, ok := out[name]; ok { // else it was created between the questions
			t.columns[column] = c
		}
	}
	if err := columns.Err(); err != nil {
		return fail(err)
	}
	return out, nil
}

// mismatch compares what is there with what must be; complete also wants every
// table to be there. Columns that we do not know are fine: an insert names its
// own and leaves the others to their defaults.
func mismatch(database string, have map[string]found, complete bool) error {
	var problems []string
	for _, t := range tables {
		f, ok := have[t.name]
		if !ok {
			if complete {
				problems = append(problems, fmt.Sprintf("table %s is missing: restart with the right to create it", t.name))
			}
			continue
		}
		for _, c := range t.columns {
			if p := c.problem(t.name, f.columns); p != "" {
				problems = append(problems, p)
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &MismatchError{Database: database, Problems: problems}
}

func (c column) problem(table string, have map[string]foundColumn) string {
	h, ok := have[c.name]
	switch {
	case !ok:
		return fmt.Sprintf("table %s has no column %s: ALTER TABLE %s ADD COLUMN %s %s, or set CLICKHOUSE_DATABASE to another database", table, c.name, table, c.name, c.kind)
	case h.kind != c.kind:
		return fmt.Sprintf("column %s of table %s is %s and must be %s: ALTER TABLE %s MODIFY COLUMN %s %s, or set CLICKHOUSE_DATABASE to another database",
			c.name, table, h.kind, c.kind, table, c.name, c.kind)
	case h.computed == "MATERIALIZED" || h.computed == "ALIAS" || h.computed == "EPHEMERAL":
		return fmt.Sprintf("column %s of table %s is %s, so nothing can be inserted into it: make it an ordinary column, or set CLICKHOUSE_DATABASE to another database", c.name, table, h.computed)
	}
	return ""
}
