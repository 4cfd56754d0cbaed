package schema

import (
	"context"

	"github.com/ai-backlog/ingest/clickhouse"
)

// at names a table on the server.
type at struct{ database, name string }

func (a at) String() string { return a.database + "." + a.name }

// target is a materialized view's table, and who reads from that in turn.
type target struct {
	at
	engine, full string
	refreshed    bool // filled by a schedule, not by inserts
}

// views follows the materialized views from our tables to every table that an
// insert of ours fills.
func (c *checker) views(ctx context.Context) error {
	var queue []at
	for _, t := range tables {
		queue = append(queue, at{c.database, t.name})
	}
	seen := map[at]bool{}
	for len(queue) > 0 {
		source := queue[0]
		queue = queue[1:]
		views, err := c.readersOf(ctx, source)
		if err != nil {
			return err
		}
		for _, view := range views {
			if seen[view] {
				continue
			}
			seen[view] = true
			to, err := c.targetOf(ctx, view)
			if err != nil {
				return err
			}
			if to.name == "" || to.refreshed {
				continue
			}
			c.warnTarget(source, view, to)
			queue = append(queue, to.at)
		}
	}
	return nil
}

func (c *checker) warnTarget(source, view at, to target) {
	setting, size := c.window(to.engine, to.full)
	switch {
	case to.engine == "Null" || size >= minWindow:
	case setting == "":
		c.warn("materialized view %s of %s writes to %s, whose engine %s cannot tell a resend: each doubles its rows there; let it write to a MergeTree with a dedup window",
			view, source, to.at, to.engine)
	case size == 0:
		c.warn("materialized view %s of %s writes to %s, which has no dedup window: each resend doubles its rows there; ALTER TABLE %s.`%s` MODIFY SETTING %s = 100000%s",
			view, source, to.at, to.database, to.name, setting, everywhere(setting))
	default:
		c.warn("materialized view %s of %s writes to %s, which remembers the last %d inserts only: a resend may double its rows there; ALTER TABLE %s.`%s` MODIFY SETTING %s = 100000%s",
			view, source, to.at, size, to.database, to.name, setting, everywhere(setting))
	}
	if setting == replicated && size > 0 && c.setting(to.full, replicatedTime) < minWindowTime {
		c.warn("materialized view %s of %s writes to %s, which remembers inserts for %d s only: a resend may double its rows there; ALTER TABLE %s.`%s` MODIFY SETTING %s = %s%s",
			view, source, to.at, c.setting(to.full, replicatedTime), to.database, to.name, replicatedTime, windowTime, everywhere(setting))
	}
}

// readersOf is the materialized views that an insert into the table runs.
func (c *checker) readersOf(ctx context.Context, t at) (views []at, err error) {
	var v at
	err = c.each(ctx, []any{&v.database, &v.name}, func() { views = append(views, v) },
		`SELECT v.1, v.2 FROM (SELECT arrayJoin(arrayZip(dependencies_database, dependencies_table)) AS v FROM system.tables WHERE database = ? AND name = ?)
		WHERE v IN (SELECT database, name FROM system.tables WHERE engine = 'MaterializedView') ORDER BY v`, t.database, t.name)
	return views, err
}

// targetOf is the zero target for a view that was dropped meanwhile.
func (c *checker) targetOf(ctx context.Context, view at) (to target, err error) {
	v := clickhouse.View{Database: view.database, Name: view.name}
	err = c.each(ctx, []any{&v.UUID, &v.Create}, func() { to.database, to.name = v.Target() },
		"SELECT toString(uuid), create_table_query FROM system.tables WHERE database = ? AND name = ?", view.database, view.name)
	if err != nil || to.name == "" {
		return target{}, err
	}
	to.refreshed = v.Refreshed()
	found := false
	err = c.each(ctx, []any{&to.engine, &to.full}, func() { found = true },
		"SELECT engine, engine_full FROM system.tables WHERE database = ? AND name = ?", to.database, to.name)
	if !found {
		return target{}, err
	}
	return to, err
}
