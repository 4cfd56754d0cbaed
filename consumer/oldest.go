package main

import "time"

// oldest is what is known of the first unfinished record of a partition. While the low watermark stands at it, its age grows by
// the clock. When the low watermark has gone on, the last age stands until the next record was looked at.
type oldest struct {
	offset int64         // where it was looked for: the low watermark at that time
	first  int64         // where it was found: offsets before it have no record
	stamp  time.Time     // Kafka's timestamp of it; until it was looked at, when the lag began
	looked time.Time     // when; zero: it was not
	last   time.Duration // its age when the low watermark passed it
	passed bool
	none   bool // there is no record up to the end
}

// at is what is known when the low watermark is at an offset.
func (o oldest) at(low int64, now time.Time) oldest {
	if o.stamp.IsZero() && !o.none { // the lag begins
		return oldest{offset: low, first: low, stamp: now}
	}
	if low > o.first && !o.passed {
		o.last, o.passed = o.age(now), true
	}
	return o
}

// age is at least 0, whatever the producer's clock said.
func (o oldest) age(now time.Time) time.Duration {
	switch {
	case o.none || o.stamp.IsZero():
		return 0
	case o.passed:
		return o.last
	}
	return max(0, now.Sub(o.stamp))
}
