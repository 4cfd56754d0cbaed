// Command starter opens the pipeline's doors by hand: it sends log files and
// NDJSON to Kafka, and lists the batches that Temporal knows of.
package main
