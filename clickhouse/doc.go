// Package clickhouse is how rows reach ClickHouse exactly once: connection
// options, columns in the native format, inserts under deduplication tokens,
// the look that tells what a table holds already, and what an error means.
//
// Two drivers share the work. ch-go sends blocks of rows, where every
// allocation counts; clickhouse-go does everything else. Decisions rest on the
// server's error codes, never on texts.
package clickhouse
