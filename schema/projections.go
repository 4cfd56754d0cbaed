package schema

import "context"

// lookedBy is the projections that a look reads, with their GROUP BY's unit.
var lookedBy = []struct{ name, unit string }{{"by_bucket", "intDiv(_offset, 1024)"}, {"by_word", "intDiv(_offset, 64)"}}

// projections warns of what makes a look scan the table.
func (c *checker) projections(ctx context.Context) error {
	for _, t := range tables {
		if !t.looked {
			continue
		}
		for _, p := range lookedBy {
			if err := c.projection(ctx, t.name, p.name, p.unit); err != nil {
				return err
			}
		}
	}
	return nil
}

// projection asks for the parts first and then for what they hold, also of those that were merged meanwhile: asked for at once, parts
// that came or went between the two answers would count as from before the projection.
func (c *checker) projection(ctx context.Context, table, name, unit string) error {
	var engine, same, with uint64
	var parts []string
	err := c.each(ctx, []any{&engine, &same, &parts}, func() {},
		`SELECT (SELECT count() FROM system.tables WHERE database = ? AND name = ? AND engine LIKE '%MergeTree'),
		(SELECT count() FROM system.projections WHERE database = ? AND table = ? AND name = ? AND position(query, ?) > 0),
		(SELECT groupArray(name) FROM system.parts WHERE database = ? AND table = ? AND active AND rows > 0)`,
		c.database, table, c.database, table, name, unit, c.database, table)
	if err == nil && len(parts) > 0 {
		err = c.each(ctx, []any{&with}, func() {},
			"SELECT uniqExact(parent_name) FROM system.projection_parts WHERE database = ? AND table = ? AND name = ? AND has(?, parent_name)", c.database, table, name, parts)
	}
	without := uint64(len(parts)) - with
	switch {
	case err != nil || engine == 0:
		return err
	case same == 0:
		c.warn("table %s has no projection %s, so every look scans the table: add it as migrations/*_%s.sql has it, then ALTER TABLE %s.%s MATERIALIZE PROJECTION %s",
			table, name, table, c.database, table, name)
	case without > 0:
		c.warn("table %s has %d parts of %d from before its projection %s, which every look scans: ALTER TABLE %s.%s MATERIALIZE PROJECTION %s",
			table, without, len(parts), name, c.database, table, name)
	}
	return nil
}
