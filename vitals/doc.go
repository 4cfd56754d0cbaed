// Package vitals reads how a ClickHouse server fares from its system tables, and shows it as metrics: disks, tables, parts,
// merges, mutations, replication, and how long queries take.
//
// It has a connection of its own and asks one light question at a time, so that nobody waits for it. What a server lacks, or
// does not let us read, is said once and left out.
package vitals
