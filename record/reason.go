package record

import "strconv"

// Reason says why a record can never be stored as it is. The set is closed: it
// is a label of metrics and a column of dead_letters.
type Reason string

// The reasons. A fault of the text comes before a fault of a field.
const (
	Empty            Reason = "empty"               // no value (a tombstone), or one of zero bytes
	MalformedJSON    Reason = "malformed_json"      // a byte that JSON does not allow there
	TruncatedJSON    Reason = "truncated_json"      // the text ends before the value does; also white space alone
	TrailingData     Reason = "trailing_data"       // more than white space after the value
	InvalidUTF8      Reason = "invalid_utf8"        // a string that is not UTF-8, or \u with half of a surrogate pair
	DuplicateKey     Reason = "duplicate_key"       // an object, at any depth, has a key twice; escapes are resolved first
	TooDeep          Reason = "too_deep"            // more than MaxDepth arrays and objects inside each other
	NotAnObject      Reason = "not_an_object"       // valid JSON, but not an object
	WrongType        Reason = "wrong_type"          // a field, or a value in attributes or tags, has a type that it cannot have
	MissingField     Reason = "missing_field"       // a required field is absent
	NullField        Reason = "null_field"          // a required field is null
	BadTime          Reason = "bad_time"            // text that is not RFC 3339 with an offset, or a date or time that does not exist
	TimeOutOfRange   Reason = "time_out_of_range"   // a time before 1970 or after 2261
	BadEventID       Reason = "bad_event_id"        // not a UUID of 32 hex digits in 8-4-4-4-12
	NumberOutOfRange Reason = "number_out_of_range" // a number that no finite float64 comes near to
)

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{
		Empty, MalformedJSON, TruncatedJSON, TrailingData, InvalidUTF8, DuplicateKey, TooDeep, NotAnObject,
		WrongType, MissingField, NullField, BadTime, TimeOutOfRange, BadEventID, NumberOutOfRange,
	}
}

// Rejected is the error of a record that can never be stored as it is. It
// carries nothing of the record's content.
type Rejected struct { //nolint:errname // what became of the record; reads better as it is
	Reason Reason
	Field  string // the column at fault; "extra" for an unknown field; "" if the record as a whole is
	Offset int    // byte of the value where the fault was seen
}

// Error is the reason, the field and the place, under 100 bytes.
func (r *Rejected) Error() string {
	text := string(r.Reason) + " at byte " + strconv.Itoa(r.Offset)
	if r.Field != "" {
		text += " in " + r.Field
	}
	return text
}
