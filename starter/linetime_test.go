package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimeIsReadAtTheStartOfTheLine(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		layout, text string
		want         time.Time
		ok           bool
	}{
		"no layout is now":            {"", "2020-01-01T00:00:00Z x", now, true},
		"a name":                      {"rfc3339", "2020-01-02T03:04:05.678+01:00 x", time.Date(2020, 1, 2, 2, 4, 5, 678e6, time.UTC), true},
		"a name in capitals":          {"RFC3339", "2020-01-02T03:04:05Z", time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), true},
		"a layout, fraction by comma": {"2006-01-02 15:04:05", "2015-07-29 17:41:44,747 - INFO", time.Date(2015, 7, 29, 17, 41, 44, 747e6, time.UTC), true},
		"brackets":                    {"[Mon Jan 02 15:04:05 2006]", "[Sun Dec 04 04:47:44 2005] [notice] x", time.Date(2005, 12, 4, 4, 47, 44, 0, time.UTC), true},
		"no year: this one":           {"stamp", "Feb 10 06:55:46 host x", time.Date(2026, 2, 10, 6, 55, 46, 0, time.UTC), true},
		"no year: the last one":       {"stamp", "Dec 10 06:55:46 host x", time.Date(2025, 12, 10, 6, 55, 46, 0, time.UTC), true},
		"does not parse":              {"rfc3339", "yesterday", now, false},
		"not at the start":            {"rfc3339", "x 2020-01-02T03:04:05Z", now, false},
		"not a day":                   {"rfc3339", "2020-13-02T03:04:05Z x", now, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := newClock(c.layout)
			k.now, k.zone = func() time.Time { return now }, time.UTC
			got, ok := k.of([]byte(c.text))
			require.Equal(t, c.ok, ok)
			require.WithinDuration(t, c.want, got, 0)
		})
	}
}

func TestALayoutTellsTheDay(t *testing.T) {
	for layout, want := range map[string]bool{
		"": true, "rfc3339": true, "Stamp": true, "[Mon Jan 02 15:04:05 2006]": true, "060102 150405": true, "2006.002": true,
		"rfc3393": false, "YYYY-MM-DD HH:mm:ss": false, "%Y-%m-%d": false, "15:04:05": false, "Mon 15:04": false,
	} {
		require.Equal(t, want, newClock(layout).dated(), layout)
	}
}
