package record

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string, whose opening quote is at the position. The result points
// into the text, or into unescaped if there were escapes.
func (p *parser) str() ([]byte, bool) {
	start := p.pos + 1
	for i := plain(p.text, start); ; i = plain(p.text, i) {
		switch {
		case i == len(p.text):
			return nil, p.fail(TruncatedJSON, i)
		case p.text[i] == '"':
			p.pos = i + 1
			return p.text[start:i], true
		case p.text[i] == '\\':
			return p.unescape(start, i)
		default:
			if i = p.rune(i); i < 0 {
				return nil, false
			}
		}
	}
}

// unescape goes on with a string whose first escape is at i.
func (p *parser) unescape(start, i int) ([]byte, bool) {
	from := len(p.unescaped)
	for ; ; i = plain(p.text, i) {
		switch {
		case i == len(p.text):
			return nil, p.fail(TruncatedJSON, i)
		case p.text[i] == '"':
			p.unescaped = append(p.unescaped, p.text[start:i]...)
			p.pos = i + 1
			return p.unescaped[from:], true
		case p.text[i] == '\\':
			p.unescaped = append(p.unescaped, p.text[start:i]...)
			i = p.escape(i)
			start = i
		default:
			i = p.rune(i)
		}
		if i < 0 {
			return nil, false
		}
	}
}

// plain is the first index from i on of a byte that is not printable ASCII other
// than quote and backslash; len(b) if there is none. Eight bytes at a time: in
// each sum the top bit of a byte is set if it is one of those, exactly so for
// the first.
func plain(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := x^'"'*ones, x^'\\'*ones
		if hit := (x | (x - ' '*ones) | (quote - ones) | (backslash - ones)) & tops; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// rune steps over a character beyond ASCII; -1 for a fault.
func (p *parser) rune(i int) int {
	if p.text[i] < 0x20 {
		p.fail(MalformedJSON, i)
		return -1
	}
	r, size := utf8.DecodeRune(p.text[i:])
	if r == utf8.RuneError && size == 1 {
		if utf8.FullRune(p.text[i:]) {
			p.fail(InvalidUTF8, i)
		} else {
			p.fail(TruncatedJSON, len(p.text))
		}
		return -1
	}
	return i + size
}

// escape appends what the escape at i stands for and steps over it; -1 for a
// fault.
func (p *parser) escape(i int) int {
	if i+1 == len(p.text) {
		p.fail(TruncatedJSON, i+1)
		return -1
	}
	c := p.text[i+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return p.escapeUnicode(i)
	default:
		p.fail(MalformedJSON, i+1)
		return -1
	}
	p.unescaped = append(p.unescaped, c)
	return i + 2
}

// escapeUnicode is escape for \uXXXX, or two of them that make a pair.
func (p *parser) escapeUnicode(i int) int {
	r, ok := p.hex(i + 2)
	if !ok {
		return -1
	}
	i += 6
	if utf16.IsSurrogate(r) {
		rest := p.text[i:]
		if len(rest) == 0 || len(rest) == 1 && rest[0] == '\\' {
			p.fail(TruncatedJSON, len(p.text))
			return -1
		}
		low := rune(0)
		if rest[0] == '\\' && rest[1] == 'u' {
			if low, ok = p.hex(i + 2); !ok {
				return -1
			}
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			p.fail(InvalidUTF8, i-6)
			return -1
		}
		i += 6
	}
	p.unescaped = utf8.AppendRune(p.unescaped, r)
	return i
}

// hex reads the four hex digits at i.
func (p *parser) hex(i int) (r rune, ok bool) {
	for end := i + 4; i < end; i++ {
		if i == len(p.text) {
			return 0, p.fail(TruncatedJSON, i)
		}
		digit := hexDigit(p.text[i])
		if digit > 15 {
			return 0, p.fail(MalformedJSON, i)
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

// hexDigit is the digit's value; over 15 for another byte.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
