package record

// The coordinates of a row that came straight from a client, because Kafka could
// not be reached: a zero topic ID with DirectPartition, which no look asks for,
// so that it is never taken for a record of Kafka's. Topic is the name of the
// topic that the record was meant for, and the timestamp the time of acceptance.
// The event ID of such a row is never zero: it is all that tells whether Kafka
// has the record too. If it does, the direct row is the one that goes: the other
// one's coordinates are what looks and audits rest on.
const (
	DirectPartition int32 = -1
	// DirectSure, as the offset, says that the record was certainly not in Kafka.
	DirectSure int64 = 0
	// DirectDoubt, as the offset, says that the client ended before Kafka
	// answered: the record may be in Kafka too, and its row may come at any time.
	DirectDoubt int64 = 1
)
