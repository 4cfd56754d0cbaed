package clickhouse

import "time"

// ReadyBy replaces what brings a replica up to date: the server of these tests has no replicas.
func (l *Looker) ReadyBy(sql string) { l.replicas.ready = func(string) string { return sql } }

// LevelBy replaces what brings all replicas up to date.
func (l *Looker) LevelBy(sql string) { l.replicas.level = func(string) string { return sql } }

// SyncStatements are those of a cluster.
func SyncStatements(c Config, table string) []string {
	return []string{syncOne(c, table), syncAll(c, table), CreateDatabaseSQL(c.Database, c.Cluster)}
}

// Quorum is what an insert that has so much time left asks of the replicas; whatever of it a server does not know it refuses.
func Quorum(c Config, left time.Duration) map[string]string {
	out := map[string]string{}
	for _, s := range c.quorum(left) {
		if s.Important {
			out[s.Key] = s.Value
		}
	}
	return out
}
