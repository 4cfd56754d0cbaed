package client

import (
	"github.com/ai-backlog/ingest/record"
)

// InvalidError is the error of a record that the pipeline could never store as
// it is. The call that returns it has stored nothing; the same record fails
// again. It carries nothing of the record's content.
type InvalidError struct {
	Kind   record.Kind
	Field  string // as in the JSON and the table: timestamp, level, …; "" if the value as a whole is at fault
	Reason record.Reason
}

// Error is one line: what is wrong with which field, and what to do.
func (e *InvalidError) Error() string {
	text := e.Kind.String() + " refused: " + string(e.Reason)
	if e.Field != "" {
		text += " in " + e.Field
	}
	return text + ": " + advice(e.Reason)
}

// advice says what a program does about it.
func advice(why record.Reason) string {
	switch why {
	case record.MissingField, record.NullField:
		return "set it, it must not be empty"
	case record.InvalidUTF8:
		return "text must be UTF-8, strings.ToValidUTF8 makes it so"
	case record.TimeOutOfRange:
		return "give a time of the years 1970 to 2261"
	case record.BadTime:
		return "give RFC 3339 with an offset, or a Unix time as a number"
	case record.NumberOutOfRange:
		return "give a finite float64, leave out NaN and infinities"
	case record.BadEventID:
		return "give a UUID of 32 hex digits as 8-4-4-4-12, or none"
	case record.WrongType:
		return "give it the type that record.Schema says"
	case record.DuplicateKey:
		return "give every key of an object once"
	case record.TooDeep:
		return "nest fewer arrays and objects, or give it as a string"
	case record.NotAnObject:
		return "give one JSON object"
	case record.Empty:
		return "give a value"
	default: // MalformedJSON, TruncatedJSON, TrailingData
		return "give exactly one JSON value, whole"
	}
}
