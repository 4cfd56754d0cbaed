package record

// object is an object that is being read:
//
//	for p.open(&o); p.key(&o); { … read the value … }
//
// after which p.failed tells whether it was read to its end.
type object struct {
	name  []byte // the key, escapes resolved; may point into the text
	at    int    // where the key's opening quote is
	count int    // keys read
	base  int    // where its keys begin among the names
	id    int    // among the objects with many keys, from 1
}

func (p *parser) open(o *object) {
	p.enter()
	o.base = len(p.names.stack)
}

// key goes on to the next key and behind its colon; false at the object's end,
// which it steps over, or at a fault. It does not compare the key to others.
func (p *parser) key(o *object) bool {
	if p.failed {
		return false
	}
	switch c := p.peek(); {
	case c == '}':
		p.names.drop(o.base)
		p.leave()
		return false
	case o.count > 0 && c == ',':
		p.pos++
		p.peek()
	case o.count > 0:
		return p.unexpected()
	}
	if p.pos >= len(p.text) || p.text[p.pos] != '"' {
		return p.unexpected()
	}
	o.at = p.pos
	o.count++
	var ok bool
	if o.name, ok = p.str(); !ok {
		return false
	}
	if p.peek() != ':' {
		return p.unexpected()
	}
	p.pos++
	return true
}

// once checks that the object does not have the key already.
func (p *parser) once(o *object) bool {
	return p.names.add(o) || p.fail(DuplicateKey, o.at)
}
