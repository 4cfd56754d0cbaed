// Package client stores the logs, metrics and events of AI agents: in Kafka, from
// where the pipeline brings them into ClickHouse, and while Kafka is away straight
// in ClickHouse.
//
//	cfg, err := client.Load() // KAFKA_SERVERS, CLICKHOUSE_HOST, AGENT_ID, …
//	c, err := client.New(cfg)
//	defer c.Close(ctx)
//	err = c.StoreLog(ctx, client.Log{Level: "INFO", Message: "plan made"})
//
// # Calls
//
// [Client.StoreLog], [Client.StoreMetric] and [Client.StoreEvent] check a record,
// copy it into a bounded buffer and return: about a microsecond, and no network.
// What they refuse could never be stored: an [InvalidError] names the field, a
// [TooLargeError] the size. Only while the buffer is full, because neither server
// takes records as fast as they come, a call waits for room, until its context
// ends: an [UnsentError] then says how many records are stored nowhere. Nothing is
// cut, and nothing is dropped in silence.
//
// [Client.Flush] returns when everything accepted before is stored for good.
// [Client.Close] does so too, and has to be called: what is in the buffer is in
// memory only, and ends with the process.
//
// A program that logs by log/slog stores its lines with one line of its own, see
// [NewHandler].
//
// # Ways
//
// Normally records go to Kafka: by an idempotent producer, acknowledged by all
// replicas in sync, those of one agent (or else of one service) in their order.
// When Kafka leaves the records of a kind unanswered for Config.FallbackAfter,
// those that certainly were not sent go straight into their table in ClickHouse,
// in blocks of up to 20,000 with a deduplication token. Meanwhile Kafka is asked
// every second whether it is back; then one record tries, and when that is
// acknowledged, records go to Kafka again. A Kafka that comes and goes is left
// alone for longer each time, up to a minute. Each change of the way is one line of
// the log.
//
// # Once
//
// A record is stored once. It is never on both ways: what may have been sent to
// Kafka waits for Kafka's answer, however long that takes, and what may have been
// sent to ClickHouse is sent there again under the same token, or looked for.
// Only a process that has to end while Kafka leaves records in doubt stores those
// in ClickHouse all the same, marked, so that none is lost. starter audit compares
// them by event_id with what came through Kafka, and removes the marked copy of a
// double.
//
// The event_id is what tells one record from another: a UUID version 7, given at
// the first call and carried through every way. A program that may store the same
// thing twice, after a crash for instance, gives the EventID itself.
//
// Rows that came straight from a client have the partition −1 and no topic ID
// ([record.DirectPartition]); their offset says whether they are in doubt.
//
// # Watching
//
// [Client.Stats] tells where all records are; a Client is also a
// prometheus.Collector. Two numbers are worth an alert: records in doubt, and a
// buffer that fills.
//
// Other languages write to Kafka themselves: docs/producers.md says how.
package client
