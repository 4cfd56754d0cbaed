package main

import (
	"errors"
	"strings"
	"time"
)

// timeHead is how much of a line may be its time; the layouts that people write
// are far shorter.
const timeHead = 128

// layouts are the names that --time-layout knows besides Go layouts.
var layouts = map[string]string{
	"rfc3339": time.RFC3339Nano, "rfc1123": time.RFC1123, "rfc1123z": time.RFC1123Z, "rfc822": time.RFC822, "rfc822z": time.RFC822Z, "rfc850": time.RFC850,
	"ansic": time.ANSIC, "unixdate": time.UnixDate, "stamp": time.Stamp, "datetime": time.DateTime, "date": time.DateOnly,
}

// clock gives each line its time.
type clock struct {
	layout string // empty: the time is now
	now    func() time.Time
	zone   *time.Location // of times that name none
}

func newClock(layout string) clock {
	if l, ok := layouts[strings.ToLower(layout)]; ok {
		layout = l
	}
	return clock{layout: layout, now: time.Now, zone: time.Local}
}

// dated is whether the layout tells day and month. What is mistyped does not, and would give every line the time of sending.
func (c clock) dated() bool {
	day := time.Date(1987, time.February, 14, 0, 0, 0, 0, time.UTC) // a Saturday, as a month later
	text := day.Format(c.layout)
	return c.layout == "" || text != day.AddDate(0, 0, 1).Format(c.layout) && text != day.AddDate(0, 1, 0).Format(c.layout)
}

// of is the time at the start of the line, and whether there was one to be
// read. A fraction of a second is read even where the layout has none; a layout
// without a year means the last year in which the time is not in the future.
func (c clock) of(text []byte) (time.Time, bool) {
	now := c.now()
	if c.layout == "" {
		return now, true
	}
	head := string(text[:min(len(text), timeHead)])
	t, err := time.ParseInLocation(c.layout, head, c.zone)
	var extra *time.ParseError
	if errors.As(err, &extra) && strings.HasPrefix(extra.Message, ": extra text") {
		t, err = time.ParseInLocation(c.layout, strings.TrimSuffix(head, extra.ValueElem), c.zone)
	}
	if err != nil {
		return now, false
	}
	if t.Year() == 0 {
		if t = t.AddDate(now.Year(), 0, 0); t.After(now.Add(24 * time.Hour)) {
			t = t.AddDate(-1, 0, 0)
		}
	}
	return t, true
}
