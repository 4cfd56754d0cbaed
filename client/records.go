package client

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Log is a line of a log, a row of the table logs. For the lines of a program
// that logs with log/slog there is [NewHandler].
//
// It is stored with every field as it was given, or the call that takes it
// returns an [InvalidError] and stores nothing. For Metric and Event the same holds:
//
//   - Timestamp is when it happened; the zero time.Time stands for now. The years
//     are 1970 to 2261 (UTC). It is stored to the microsecond, what is finer is
//     cut off, and without its time zone, as the instant that it is.
//   - EventID identifies the record for ever, through retries, Kafka, the direct
//     way and a redrive. The zero UUID stands for a new one (version 7) that is
//     given at the call. Who may store the same thing twice, after a crash for
//     instance, gives the same EventID both times: it tells the double.
//   - Text is UTF-8, of any length that the record as a whole may have. Invalid
//     UTF-8 is refused; strings.ToValidUTF8 makes it valid.
//   - Service and AgentID say where it comes from. Empty ones are filled from the
//     client's Config.
//   - An empty optional field and an absent one are the same.
type Log struct {
	Timestamp  time.Time         // zero: now
	Level      string            // required; the severity as the program names it, best one of TRACE DEBUG INFO WARN ERROR FATAL
	Message    string            // may be empty
	EventID    uuid.UUID         // zero: one is given
	Service    string            // empty: Config.Service
	AgentID    string            // empty: Config.AgentID
	TraceID    string            // of the trace that it belongs to; any text, W3C's is 32 hex digits
	SpanID     string            // of the span within the trace
	Attributes map[string]string // more about it; read during the call only
}

// Metric is one measurement, a row of the table metrics; see [Log] for what is
// common to all records.
type Metric struct {
	Timestamp time.Time         // zero: now
	Name      string            // required; what is measured, such as llm.tokens
	Value     float64           // stored exactly, negative zero too; NaN and infinities are refused
	EventID   uuid.UUID         // zero: one is given
	Unit      string            // of Value, such as ms; nothing converts it
	Service   string            // empty: Config.Service
	AgentID   string            // empty: Config.AgentID
	Tags      map[string]string // the dimensions; read during the call only
}

// Event is something that happened, a row of the table events; see [Log] for what
// is common to all records.
type Event struct {
	Timestamp time.Time // zero: now
	Type      string    // required; what kind of event it is, such as task.done
	EventID   uuid.UUID // zero: one is given
	Service   string    // empty: Config.Service
	AgentID   string    // empty: Config.AgentID
	TaskID    string    // of the task that it belongs to
	TraceID   string    // of the trace that it belongs to

	// Payload is any one JSON value, stored byte for byte without the white space
	// around it. Empty and null are absent. It is read as strictly as records
	// are: a repeated key, half a surrogate pair, a second value or more than 127
	// levels refuse the event. What json.Marshal returns is fine.
	Payload json.RawMessage
}
