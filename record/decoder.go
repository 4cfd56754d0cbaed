package record

const extraField = "extra"

// decoder reads one record at a time into fields that it uses again, so that a
// record that turns out to be bad has touched no column.
type decoder struct {
	parser
	fields []field
	expect int      // the field that find tries first
	seen   uint32   // bit per field: the key was there
	wrong  Rejected // the first fault of a field
	decoded
}

// decoded is a record; what is absent is zero. Texts may point into the value.
type decoded struct {
	texts  [9][]byte // by field; no kind has more
	micros int64
	float  float64
	id     [16]byte
	pairs  []pair
	extra  []byte // an object without its closing brace
}

type pair struct{ key, value []byte }

// reset lets go of the record and makes ready for the next one.
func (d *decoder) reset() {
	clear(d.pairs)
	d.decoded = decoded{pairs: d.pairs[:0], extra: d.extra[:0]}
	d.seen, d.wrong = 0, Rejected{}
	d.parser.reset()
}

// decode reads the value; nil if it can be stored. The decoder is new or was
// reset.
func (d *decoder) decode(value []byte) *Rejected {
	d.text = value
	if d.peek() == '{' {
		d.record()
	} else if at := d.pos; d.skip() {
		d.reject(NotAnObject, "", at)
	}
	if !d.failed {
		d.end()
	}
	switch {
	case len(value) == 0:
		return &Rejected{Reason: Empty}
	case d.failed:
		return new(d.fault)
	case d.wrong.Reason != "":
		return new(d.wrong)
	}
	return d.missing()
}

func (d *decoder) missing() *Rejected {
	for i, f := range d.fields {
		if f.required && d.seen&(1<<i) == 0 {
			return &Rejected{Reason: MissingField, Field: f.name, Offset: len(d.text)}
		}
	}
	return nil
}

// reject notes a fault of a field. Reading goes on, in case that the text
// itself has one.
func (d *decoder) reject(why Reason, field string, at int) {
	if d.wrong.Reason == "" {
		d.wrong = Rejected{Reason: why, Field: field, Offset: at}
	}
}

func (d *decoder) record() {
	var o object
	for d.open(&o); d.key(&o); {
		name := extraField
		if i := d.find(o.name); i < 0 {
			d.unknown(&o)
		} else if name = d.fields[i].name; d.seen&(1<<i) != 0 {
			d.fail(DuplicateKey, o.at)
		} else {
			d.seen |= 1 << i
			d.value(i)
		}
		if d.failed {
			d.fault.Field = name
		}
	}
}

// find is the field's index, -1 for an unknown one. The search begins where the last one ended, because producers write their fields
// in one order.
func (d *decoder) find(key []byte) int {
	for i := d.expect; i < len(d.fields); i++ {
		if d.fields[i].name == string(key) {
			d.expect = i + 1
			return i
		}
	}
	for i := range d.expect {
		if d.fields[i].name == string(key) {
			d.expect = i + 1
			return i
		}
	}
	return -1
}

// unknown keeps a field as it is written.
func (d *decoder) unknown(o *object) {
	if !d.once(o) || !d.skip() {
		return
	}
	if len(d.extra) == 0 {
		d.extra = append(d.extra, '{')
	} else {
		d.extra = append(d.extra, ',')
	}
	d.extra = append(d.extra, d.text[o.at:d.pos]...)
}
