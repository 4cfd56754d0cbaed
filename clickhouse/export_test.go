package clickhouse

// ReadyBy replaces what brings a replica up to date: the server of these tests has no replicas.
func (l *Looker) ReadyBy(sql string) { l.replicas.ready = func(string) string { return sql } }

// SyncStatements are those of a cluster.
func SyncStatements(c Config, table string) []string {
	return []string{syncOne(c, table), syncAll(c, table), CreateDatabaseSQL(c.Database, c.Cluster)}
}
