package main

import "time"

// shortLag is how old a lag is when it is looked at: until then its age is known well enough.
const shortLag = 2 * time.Second

// oldest is what is known of the oldest unfinished record of a partition with a lag. While the low watermark has not passed it,
// its age grows by the clock. When it has, the last age stands until the next record was looked at. The zero value knows nothing.
type oldest struct {
	low    int64         // the low watermark when it was looked for
	first  int64         // where it is, or how far was looked: offsets from low to here have no record
	stamp  time.Time     // Kafka's timestamp of it; of a lag that was not looked at, when it began; zero: not known
	none   bool          // no record was found up to the end
	looked bool          // it was
	passed bool          // the low watermark went on
	last   time.Duration // its age at that time
}

// begins is a lag that was not there a round before: its oldest record came just now.
func begins(low int64, now time.Time) oldest { return oldest{low: low, first: low, stamp: now} }

// at is what is known when the low watermark is there. It goes back when offsets are planned again.
func (o oldest) at(low int64, now time.Time) oldest {
	switch {
	case low < o.low:
		return oldest{}
	case low > o.first && !o.passed:
		o.last, _ = o.age(now)
		o.passed = true
	}
	return o
}

// age is at least 0, whatever the producer's clock said; false: it is not known.
func (o oldest) age(now time.Time) (time.Duration, bool) {
	switch {
	case o.none:
		return 0, true
	case o.stamp.IsZero():
		return 0, false
	case o.passed:
		return o.last, true
	}
	return max(0, now.Sub(o.stamp)), true
}

// due tells whether there is something to be learned by a look.
func (o oldest) due(now time.Time) bool {
	if o.looked || o.stamp.IsZero() {
		return o.passed || o.stamp.IsZero()
	}
	return now.Sub(o.stamp) >= shortLag
}
