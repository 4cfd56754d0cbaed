package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/ai-backlog/ingest/clickhouse"
)

// Warning is one line: what endangers the promise, and the statement that ends
// the danger.
type Warning string

// minWindow is how many inserts a table must remember: more than can come
// between a send and its resend, half an hour at most, each counted once for
// every partition of the table that it touches.
const minWindow = 10_000

// minWindowTime is for how long, in seconds, a replicated table must remember an insert: for as long as a look is valid, and then some.
const minWindowTime = 3600

// everywhere says what the server does not do by itself: a setting of a replicated table is each replica's own.
func everywhere(setting string) string {
	if setting == replicated {
		return ", on each replica"
	}
	return ""
}

// Check reads what an installation may have that breaks the promise, and changes
// nothing: dedup windows that are off or too small, also of the tables that
// materialized views fill; projections that a look needs. No warning is no proof
// for tables on other servers. Errors are *clickhouse.Failure.
func Check(ctx context.Context, conn driver.Conn, database string) ([]Warning, error) {
	c := checker{conn: conn, database: database, windows: map[string]uint64{}}
	err := errors.Join(c.defaults(ctx), c.own(ctx))
	if err == nil {
		err = errors.Join(c.views(ctx), c.projections(ctx))
	}
	if err != nil {
		return c.warnings, clickhouse.Wrap(err, "check the tables of %s", database)
	}
	return c.warnings, nil
}

// checker is one run of Check.
type checker struct {
	conn     driver.Conn
	database string
	windows  map[string]uint64 // the server's defaults, by setting
	warnings []Warning
}

func (c *checker) warn(format string, args ...any) {
	c.warnings = append(c.warnings, Warning(fmt.Sprintf(format, args...)))
}

// each calls row with every row of the answer, scanned into dest.
func (c *checker) each(ctx context.Context, dest []any, row func(), sql string, args ...any) error {
	rows, err := c.conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		row()
	}
	return rows.Err()
}

const (
	plain          = "non_replicated_deduplication_window"
	replicated     = "replicated_deduplication_window"
	replicatedTime = "replicated_deduplication_window_seconds"
)

func (c *checker) defaults(ctx context.Context) error {
	var name, value string
	return c.each(ctx, []any{&name, &value}, func() {
		var n uint64
		if _, err := fmt.Sscan(value, &n); err == nil {
			c.windows[name] = n
		}
	}, "SELECT name, value FROM system.merge_tree_settings WHERE name = '"+plain+"' UNION ALL SELECT name, value FROM system.replicated_merge_tree_settings WHERE name IN ('"+replicated+"', '"+replicatedTime+"')")
}

// window is the setting that rules the table's dedup window, and its value. No
// setting means an engine without one.
func (c *checker) window(engine, full string) (setting string, size uint64) {
	switch {
	case !strings.HasSuffix(engine, "MergeTree"):
		return "", 0
	case strings.HasPrefix(engine, "Replicated"), strings.HasPrefix(engine, "Shared"):
		setting = replicated
	default:
		setting = plain
	}
	return setting, c.setting(full, setting)
}

// setting is a number among a table's settings, or else the server's default.
func (c *checker) setting(full, name string) uint64 {
	size := c.windows[name]
	for part := range strings.FieldsFuncSeq(full, func(r rune) bool { return r == ',' || r == '(' || r == ')' }) {
		_, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(part), "SETTINGS "), name+" = ")
		if ok {
			size = 0 // what cannot be read is no window
			_, _ = fmt.Sscan(value, &size)
		}
	}
	return size
}

// own checks our tables.
func (c *checker) own(ctx context.Context) error {
	var name, engine, full string
	return c.each(ctx, []any{&name, &engine, &full}, func() {
		if !slices.ContainsFunc(tables, func(t table) bool { return t.name == name }) {
			return
		}
		setting, size := c.window(engine, full)
		switch {
		case setting != "" && size < minWindow:
			c.warn("table %s remembers the last %d inserts only, so one that is resent may double: ALTER TABLE %s.%s MODIFY SETTING %s = 100000%s",
				name, size, c.database, name, setting, everywhere(setting))
		case setting == replicated && c.setting(full, replicatedTime) < minWindowTime:
			c.warn("table %s remembers inserts for %d s only, so one that is resent may double: ALTER TABLE %s.%s MODIFY SETTING %s = %s%s",
				name, c.setting(full, replicatedTime), c.database, name, replicatedTime, windowTime, everywhere(setting))
		case setting != "" && strings.TrimPrefix(strings.TrimPrefix(engine, "Replicated"), "Shared") != "MergeTree":
			c.warn("table %s has the engine %s, whose merges drop rows: audit will report them as gaps; use MergeTree", name, engine)
		}
	}, "SELECT name, engine, engine_full FROM system.tables WHERE database = ? ORDER BY name", c.database)
}
