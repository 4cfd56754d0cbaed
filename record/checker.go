package record

import "time"

// Checker tells whether values can be stored, by the decoder that fills a
// [Block] but without columns: what it takes a Block takes, and it rejects for
// the same reason. It is for one goroutine. Once it has grown, a good value costs
// no allocation; it keeps no reference to one.
type Checker struct {
	dec    decoder
	id     [16]byte
	micros int64
}

// NewChecker returns a Checker for records of the kind, which is one of Kinds.
func NewChecker(kind Kind) *Checker {
	return &Checker{dec: decoder{fields: kind.fields()}}
}

// Check decodes a Kafka message's value. The error is a *Rejected.
func (c *Checker) Check(value []byte) error {
	bad := c.dec.decode(value)
	c.id, c.micros = [16]byte{}, 0
	if bad == nil {
		c.id, c.micros = c.dec.id, c.dec.micros
	}
	c.dec.reset()
	if bad != nil {
		return bad
	}
	return nil
}

// CheckMember reads a text that shall be the value of a field, such as an
// event's payload: one JSON value of any type with nothing but white space
// around it. It may be one level less deep than a record. The error is a
// *Rejected without a field, whose Offset counts from the start of the text.
func (c *Checker) CheckMember(text []byte) error {
	if len(text) == 0 {
		return &Rejected{Reason: Empty}
	}
	p := &c.dec.parser
	p.text, p.depth = text, 1 // inside of the record
	ok := p.skip() && p.end()
	fault := p.fault
	c.dec.reset()
	if !ok {
		return new(fault)
	}
	return nil
}

// EventID is the event_id of the value that Check took last; false if it has
// none, or the zero UUID, or was rejected.
func (c *Checker) EventID() (id [16]byte, ok bool) { return c.id, c.id != [16]byte{} }

// Time is the timestamp of the value that Check took last, in whole microseconds.
func (c *Checker) Time() time.Time { return time.UnixMicro(c.micros) }
