package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrClosed says that the client was closed before the call: a record was not
// accepted, or it is the second Close.
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
	return fmt.Sprintf("record of %d bytes is too large: topic %s takes %d bytes, its key included: make it smaller, or raise the topic's max.message.bytes", e.Size, e.Topic, e.Limit)
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

	full bool  // a call waited for room
	why  error // that the call gave up
	// what keeps each server from taking them, as far as it is known
	kafka, clickhouse error
}

func (e *UnsentError) Error() string {
	var b strings.Builder
	switch {
	case e.full:
		b.WriteString("record was not accepted, the buffer is full (CLIENT_BUFFER_BYTES): ")
	case e.Lost:
		b.WriteString("lost with the client: ")
	}
	fmt.Fprintf(&b, "%s not sent", records(e.Unsent))
	if e.InDoubt > 0 {
		fmt.Fprintf(&b, ", %s in doubt", records(e.InDoubt))
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

func records(n int64) string {
	if n == 1 {
		return "1 record"
	}
	return strconv.FormatInt(n, 10) + " records"
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
