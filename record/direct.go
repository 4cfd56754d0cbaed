package record

// Coordinates of rows that came straight from a client, because Kafka was away
// from it: the topic's name, no topic ID, and these. Such a row has an event_id.
const (
	// DirectPartition is the partition of all of them.
	DirectPartition int32 = -1
	// DirectSure is the offset of a record that certainly is not in Kafka.
	DirectSure int64 = 0
	// DirectDoubt is the offset of a record that Kafka may have too: its client
	// ended before Kafka had answered. Of a double the direct row is removed.
	DirectDoubt int64 = 1
)
