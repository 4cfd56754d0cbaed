package record

const (
	firstYear, endYear = 1970, 2262
	// endMicros is 2262-01-01, the first instant that a number cannot be.
	endMicros = 9_214_646_400_000_000
	dayMicros = 86_400_000_000
)

// timeText reads RFC 3339 text into microseconds since 1970; the reason is ""
// if it is fine.
func timeText(b []byte) (int64, Reason) {
	if len(b) < len("2006-01-02T15:04:05Z") || b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' || b[13] != ':' || b[16] != ':' {
		return 0, BadTime
	}
	century, year, month, day := two(b[0:]), two(b[2:]), two(b[5:]), two(b[8:])
	hour, minute, second := two(b[11:]), two(b[14:]), two(b[17:])
	year += 100 * century
	if max(century, hour, minute, second, month, day) > 99 || year > 9999 ||
		month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, BadTime
	}
	fraction, rest := fractionMicros(b[19:])
	offset, ok := zone(rest)
	if fraction < 0 || !ok {
		return 0, BadTime
	}
	if year < firstYear || year >= endYear {
		return 0, TimeOutOfRange
	}
	seconds := int64((hour*60+minute-offset)*60 + second)
	return daysSince1970(year, month, day)*dayMicros + seconds*1_000_000 + fraction, ""
}

// two reads two digits; a number over 9,999 if they are none.
func two(b []byte) int {
	if tens, ones := b[0]-'0', b[1]-'0'; tens <= 9 && ones <= 9 {
		return int(tens)*10 + int(ones)
	}
	return 10_000
}

// fractionMicros reads an optional point and digits, of which six count; -1 if
// the digits are missing.
func fractionMicros(b []byte) (micros int64, rest []byte) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b
	}
	i, unit := 1, int64(100_000)
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		micros += int64(b[i]-'0') * unit
		unit /= 10
	}
	if i == 1 {
		return -1, b
	}
	return micros, b[i:]
}

// zone reads Z or the offset from UTC, in minutes.
func zone(b []byte) (minutes int, ok bool) {
	if len(b) == 1 {
		return 0, b[0]|0x20 == 'z'
	}
	if len(b) != len("+01:00") || b[0] != '+' && b[0] != '-' || b[3] != ':' {
		return 0, false
	}
	hour, minute := two(b[1:]), two(b[4:])
	if hour > 23 || minute > 59 {
		return 0, false
	}
	minutes = hour*60 + minute
	if b[0] == '-' {
		minutes = -minutes
	}
	return minutes, true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts in years that begin in March, so that the leap day is
// the last one.
func daysSince1970(year, month, day int) int64 {
	if month < 3 {
		year, month = year-1, month+12
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1
	return int64(days - 719_468)
}
