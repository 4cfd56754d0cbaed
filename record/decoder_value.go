package record

import "strconv"

// value reads the value of field i.
func (d *decoder) value(i int) {
	f := &d.fields[i]
	c := d.peek()
	switch number := c == '-' || c-'0' <= 9; {
	case c == 'n':
		if at := d.pos; d.literal("null") && f.required {
			d.reject(NullField, f.name, at)
		}
	case f.shape == jsonShape:
		if at := d.pos; d.skip() {
			d.texts[i] = d.text[at:d.pos]
		}
	case f.shape == mapShape && c == '{':
		d.scalars(f)
	case number && (f.shape == timeShape || f.shape == numberShape):
		d.numberValue(f)
	case c == '"' && f.shape != mapShape && f.shape != numberShape:
		d.stringValue(i)
	default:
		if at := d.pos; d.skip() {
			d.reject(WrongType, f.name, at)
		}
	}
}

func (d *decoder) stringValue(i int) {
	f, at := &d.fields[i], d.pos
	text, ok := d.str()
	if !ok {
		return
	}
	var why Reason
	switch f.shape {
	case timeShape:
		d.micros, why = timeText(text)
	case idShape:
		d.id, why = eventID(text)
	default:
		d.texts[i] = text
	}
	if why != "" {
		d.reject(why, f.name, at)
	}
}

func (d *decoder) numberValue(f *field) {
	at := d.pos
	text, ok := d.number()
	if !ok {
		return
	}
	var why Reason
	if f.shape == timeShape {
		d.micros, why = timeNumber(text)
	} else {
		var err error
		if d.float, err = strconv.ParseFloat(string(text), 64); err != nil {
			why = NumberOutOfRange
		}
	}
	if why != "" {
		d.reject(why, f.name, at)
	}
}

// scalars reads the object of a map field.
func (d *decoder) scalars(f *field) {
	var o object
	for d.open(&o); d.key(&o); {
		if !d.once(&o) {
			return
		}
		var value []byte
		c := d.peek()
		at := d.pos
		if c == '"' {
			value, _ = d.str()
		} else if d.skip() {
			value = d.text[at:d.pos]
		}
		if !d.failed && (c == 'n' || c == '{' || c == '[') {
			d.reject(WrongType, f.name, at)
		}
		d.pairs = append(d.pairs, pair{o.name, value})
	}
}

// eventID reads 32 hex digits as 8-4-4-4-12.
func eventID(b []byte) (id [16]byte, why Reason) {
	const form = "00000000-0000-0000-0000-000000000000"
	if len(b) != len(form) {
		return id, BadEventID
	}
	n := 0
	for i := range form {
		if form[i] == '-' {
			if b[i] != '-' {
				return id, BadEventID
			}
			continue
		}
		digit := hexDigit(b[i])
		if digit > 15 {
			return id, BadEventID
		}
		id[n/2] = id[n/2]<<4 | digit
		n++
	}
	return id, ""
}
