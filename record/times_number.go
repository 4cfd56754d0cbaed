package record

// timeNumber reads a Unix time, a valid JSON number, into microseconds since
// 1970, by its decimal digits; the reason is "" if it is fine. The unit goes by
// the number of digits before the point: up to 11 are seconds, 14 milliseconds,
// 17 microseconds, 19 nanoseconds.
func timeNumber(b []byte) (int64, Reason) {
	d := decimalOf(b)
	switch {
	case d.first < 0:
		return 0, "" // zero, of any sign and exponent
	case d.negative || d.before > 19:
		return 0, TimeOutOfRange
	}
	keep := d.before
	switch {
	case d.before <= 11:
		keep += 6
	case d.before <= 14:
		keep += 3
	case d.before > 17:
		keep -= 3
	}
	var micros int64
	for i := d.first; keep > 0; keep-- {
		micros *= 10
		if i < len(d.mantissa) && d.mantissa[i] == '.' {
			i++
		}
		if i < len(d.mantissa) {
			micros += int64(d.mantissa[i] - '0')
			i++
		}
	}
	if micros >= endMicros {
		return 0, TimeOutOfRange
	}
	return micros, ""
}

// decimal is a number as 0.d₁d₂d₃… × 10^before, with d₁ not zero.
type decimal struct {
	negative bool
	mantissa []byte // digits and perhaps a point
	first    int    // index of d₁ in it, -1 if all digits are zero
	before   int    // digits before the point, once the exponent is applied
}

func decimalOf(b []byte) decimal {
	d := decimal{negative: b[0] == '-', mantissa: b, first: -1}
	if d.negative {
		d.mantissa = b[1:]
	}
	exponent := 0
	for i, c := range d.mantissa {
		if c|0x20 == 'e' {
			exponent = exponentOf(d.mantissa[i+1:])
			d.mantissa = d.mantissa[:i]
			break
		}
	}
	point := len(d.mantissa)
	for i, c := range d.mantissa {
		if c == '.' {
			point = i
		} else if d.first < 0 && c != '0' {
			d.first = i
		}
	}
	d.before = point - d.first + exponent
	if d.first > point { // the point itself is no digit
		d.before++
	}
	return d
}

// exponentOf reads an exponent. Beyond a billion it does not matter: no text
// has so many digits.
func exponentOf(b []byte) int {
	n, sign := 0, 1
	for _, c := range b {
		switch {
		case c == '-':
			sign = -1
		case c != '+':
			n = min(n*10+int(c-'0'), 1_000_000_000)
		}
	}
	return sign * n
}
