// Package record says what a log, a metric and an event is: JSON text becomes
// rows of a native ClickHouse block, or is rejected with one Reason.
//
// Decoding is strict, and the JSON Schemas of [Schema] say the same for other
// languages. What a schema cannot say is said by the parser: a record is one
// JSON object in UTF-8, without a repeated key at any depth, without unpaired
// surrogates, at most [MaxDepth] deep, with nothing behind it but white space.
//
// # Fields
//
//   - A required field that is absent or null rejects the record. An optional
//     one that is null counts as absent. Absent text is stored as the empty
//     string, an absent event_id as the zero UUID, an absent map as empty. Empty
//     text is accepted in every field that is text.
//   - timestamp is RFC 3339 text with an offset and any fraction, or a Unix
//     number; the next section has the ranges.
//   - value is a JSON number that a finite float64 comes near to.
//   - attributes and tags are objects of scalars: strings, numbers (stored as
//     they are written), true and false. null, arrays and objects reject.
//   - payload is any JSON, stored as it is written.
//   - Unknown fields are stored in extra, as one JSON object, each key and value
//     as it is written, in their order.
//
// # Times
//
// Text has the date and the time of day as RFC 3339 has them, so no leap second,
// and a year, as it is written, from 1970 to 2261. A regular expression can say
// that, and the instant is inside of what DateTime64(6) holds under any offset.
// What is finer than a microsecond is cut off.
//
// A number is at least 0 and, by its magnitude,
//
//   - below 1e11 seconds since 1970,
//   - below 1e14 milliseconds,
//   - below 1e17 microseconds,
//   - else nanoseconds,
//
// and an instant before 2262. It may have a fraction and an exponent and is read
// exactly, not as a float64. Milliseconds before March 1973 (1e11) would be taken
// for seconds, and are out of range from 1970-04-17 on: 9,214,646,400 is the
// end of 2261 in seconds. Nobody sends those.
//
// # Which reason
//
// A record with several faults has one reason, always the same. A fault of the
// JSON text comes before a fault of a field; among those of a kind the one that
// is read first; missing fields come last, in the order of the columns.
package record
