package record

// MaxDepth is how many arrays and objects may be inside each other, the record
// itself included. It bounds the parser's stack.
const MaxDepth = 128

// parser reads JSON text strictly, in one pass and without allocation. The first
// fault sticks: every method then returns false, and fault says what it was.
//
// It is not jx or another library because each of them lets through something
// that we reject (repeated keys, half surrogate pairs, trailing data), and
// checking that afterwards costs a second pass.
type parser struct {
	text      []byte
	pos       int
	depth     int
	fault     Rejected
	failed    bool
	unescaped []byte // strings that had escapes, of this record
	names     names  // keys of the objects that are open
}

// reset lets go of the text.
func (p *parser) reset() {
	p.text, p.pos, p.depth, p.failed = nil, 0, 0, false
	p.unescaped = p.unescaped[:0]
	p.names.reset()
}

func (p *parser) fail(why Reason, at int) bool {
	if !p.failed {
		p.fault, p.failed = Rejected{Reason: why, Offset: at}, true
	}
	return false
}

// unexpected is a fault at the position: the end of the text, or a byte that
// cannot be there.
func (p *parser) unexpected() bool {
	if p.pos >= len(p.text) {
		return p.fail(TruncatedJSON, len(p.text))
	}
	return p.fail(MalformedJSON, p.pos)
}

// peek skips white space and returns the byte that follows, 0 at the end.
func (p *parser) peek() byte {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; c {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return c
		}
	}
	return 0
}

// end checks that only white space is left.
func (p *parser) end() bool {
	if p.peek(); p.pos < len(p.text) {
		return p.fail(TrailingData, p.pos)
	}
	return true
}

// skip reads any value.
func (p *parser) skip() bool {
	switch c := p.peek(); c {
	case '"':
		_, ok := p.str()
		return ok
	case '{':
		var o object
		for p.open(&o); p.key(&o); {
			if p.once(&o) {
				p.skip()
			}
		}
		return !p.failed
	case '[':
		return p.skipArray()
	case 't':
		return p.literal("true")
	case 'f':
		return p.literal("false")
	case 'n':
		return p.literal("null")
	default:
		_, ok := p.number()
		return ok
	}
}

func (p *parser) skipArray() bool {
	if !p.enter() {
		return false
	}
	if p.peek() == ']' {
		return p.leave()
	}
	for p.skip() {
		switch p.peek() {
		case ',':
			p.pos++
		case ']':
			return p.leave()
		default:
			return p.unexpected()
		}
	}
	return false
}

// enter steps over the opening bracket of an array or object, leave over the
// closing one.
func (p *parser) enter() bool {
	if p.depth++; p.depth > MaxDepth {
		return p.fail(TooDeep, p.pos)
	}
	p.pos++
	return true
}

func (p *parser) leave() bool {
	p.depth--
	p.pos++
	return true
}

// literal reads the word.
func (p *parser) literal(word string) bool {
	rest := p.text[p.pos:]
	if len(rest) >= len(word) && string(rest[:len(word)]) == word {
		p.pos += len(word)
		return true
	}
	for i := range rest {
		if rest[i] != word[i] {
			return p.fail(MalformedJSON, p.pos+i)
		}
	}
	return p.fail(TruncatedJSON, len(p.text))
}
