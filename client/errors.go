package client

import (
	"errors"
	"fmt"
	"strings"
)

// ErrClosed says that the client was closed before the call: the record was not
// accepted.
var ErrClosed = errors.New("client is closed")

// TooLargeError says that a record was not accepted because it is larger than
// its topic, or the client's buffer, allows. Nothing is ever cut.
type TooLargeError struct {
	Size  int    // of the record's JSON and key, bytes
	Limit int    // bytes
	Topic string // empty: the buffer
}

func (e *TooLargeError) Error() string {
	if e.Topic == "" {
		return fmt.Sprintf("record of %d bytes is larger than the buffer of %d: raise CLIENT_BUFFER_BYTES", e.Size, e.Limit)
	}
	return fmt.Sprintf("record of %d bytes is too large: topic %s takes %d bytes a record (max.message.bytes)", e.Size, e.Topic, e.Limit)
}

// UnsentError says that a call gave up waiting, and what it left behind.
type UnsentError struct {
	// Unsent records are certainly stored nowhere.
	Unsent int64
	// InDoubt are records that were sent to a server that has not answered: they
	// may be stored, or may yet be.
	InDoubt int64
	// Lost tells whether they end with the client: it was closed. If not, they are
	// still in its buffer, and it goes on.
	Lost bool

	why error // that the call gave up
	// what keeps each server from taking them, as far as it is known
	kafka, clickhouse error
}

func (e *UnsentError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records are not sent", e.Unsent)
	if e.InDoubt > 0 {
		fmt.Fprintf(&b, ", %d are in doubt", e.InDoubt)
	}
	if e.why != nil {
		fmt.Fprintf(&b, ": %v", e.why)
	}
	if e.kafka != nil {
		fmt.Fprintf(&b, "; Kafka: %v", e.kafka)
	}
	if e.clickhouse != nil {
		fmt.Fprintf(&b, "; ClickHouse: %v", e.clickhouse)
	}
	return b.String()
}

// Unwrap is why the call gave up, mostly the error of its context, and what
// kept the servers from taking the records.
func (e *UnsentError) Unwrap() []error {
	var out []error
	for _, err := range []error{e.why, e.kafka, e.clickhouse} {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}
