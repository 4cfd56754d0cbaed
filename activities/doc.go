// Package activities does what workflows decide: it looks, reads the exact
// offsets of a batch from Kafka, decodes them straight into ClickHouse columns,
// inserts, and routes what cannot be decoded to the dead letters.
//
// Every activity is safe to run twice, and to run while an earlier attempt of
// it still does: what it writes goes under tokens that name exactly the rows,
// so the server drops the second copy. Nothing is written on the word of a
// look that is older than LookValid or that belongs to another run.
package activities
