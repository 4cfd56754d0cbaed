// Package kafka is what the pipeline needs of Kafka: connection options from
// the environment, exact reads of offset ranges by topic ID, offsets, the
// bookmark, and membership in the consumer group.
package kafka
