package schema

// WindowOf is how many inserts a table of that engine remembers, and for how many seconds; the defaults are the server's.
func WindowOf(engine, full string, defaults map[string]uint64) (setting string, size, seconds uint64) {
	c := checker{windows: defaults}
	setting, size = c.window(engine, full)
	return setting, size, c.setting(full, replicatedTime)
}
