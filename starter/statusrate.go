package main

import (
	"math"
	"slices"
)

// span is two readings, to tell what happened between them.
type span struct{ from, to reading }

// rate is the growth per second of the topic's series of that name, of all programs; nil if none was read twice. fits chooses by the
// other labels; nil: all. A counter that fell is that of a program that was started again, and counts from 0; of an offset nobody
// can say then, and the whole is nil.
func (s span) rate(name, topic string, counter bool, fits func(rest string) bool) *float64 {
	seconds := s.to.at.Sub(s.from.at).Seconds()
	if seconds <= 0 {
		return nil
	}
	var sum float64
	known := false
	for addr, p := range s.to.programs {
		for id, now := range p.values {
			if id.name != name || id.topic != topic || fits != nil && !fits(id.rest) {
				continue
			}
			before, ok := s.from.programs[addr].values[id]
			switch {
			case !ok: // it was not read then, or is another program's since
				continue
			case now >= before:
				sum += now - before
			case counter:
				sum += now
			default:
				return nil
			}
			known = true
		}
	}
	if !known {
		return nil
	}
	sum /= seconds
	return &sum
}

// sent is the growth of the topic's log.
func (s span) sent(topic string) *float64 { return s.rate("ingest_log_end_offset", topic, false, nil) }

// stored is rows per second. The planner counts those of completed batches, whoever worked on them; where no planner was reached, the
// workers that were say what they stored.
func (s span) stored(topic string) *float64 {
	if len(s.to.planners(topic)) > 0 {
		return s.rate("ingest_completed_offsets_total", topic, true, func(rest string) bool { return rest == "place=stored" || rest == "place=present" })
	}
	return s.rate("ingest_stored_rows_total", topic, true, nil)
}

// quantile is of the observations between the readings; nil if there was none. It takes the values of a bucket as evenly spread, as
// Prometheus does, and what is beyond the last limit as that limit.
func (s span) quantile(name, topic string, q float64) *float64 {
	grown := map[float64]float64{}
	for addr, p := range s.to.programs {
		id := series{name: name, topic: topic}
		before := s.from.programs[addr].buckets[id]
		if before == nil {
			continue // as of a rate
		}
		now := p.buckets[id]
		same := len(now) == len(before) && len(now) > 0 && now[len(now)-1].count >= before[len(before)-1].count
		for i, b := range now {
			if same {
				b.count -= before[i].count
			}
			grown[b.limit] += b.count
		}
	}
	return quantile(grown, q)
}

func quantile(cumulative map[float64]float64, q float64) *float64 {
	limits := make([]float64, 0, len(cumulative))
	for limit := range cumulative {
		limits = append(limits, limit)
	}
	slices.Sort(limits)
	if len(limits) < 2 || cumulative[limits[len(limits)-1]] <= 0 {
		return nil
	}
	rank := q * cumulative[limits[len(limits)-1]]
	var low, below float64
	for _, limit := range limits {
		if math.IsInf(limit, 1) {
			return &low
		}
		if n := cumulative[limit]; n >= rank && n > below {
			v := low + (limit-low)*(rank-below)/(n-below)
			return &v
		}
		low, below = limit, cumulative[limit]
	}
	return &low
}
