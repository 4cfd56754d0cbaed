package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// slack is what a series may have more in the last quarter of the run than in the second one, beside a fifth: medians, so that
// what a fault makes of it for a while does not count.
var slack = map[string]float64{memory: 32, goroutines: 20, files: 20, database: 16, parts: 40}

const growth = 1.2

// flat tells what grows. The first quarter is left out: caches fill, and Temporal forgets nothing yet.
func flat(samples []sample) error {
	if len(samples) < 16 {
		return fmt.Errorf("only %d samples: too few to tell whether anything grows", len(samples))
	}
	quarter := len(samples) / 4
	early, late := samples[quarter:2*quarter], samples[len(samples)-quarter:]
	var errs []error
	for _, name := range series(samples) {
		allowed, judged := slack[kind(name)]
		if !judged {
			continue
		}
		before, ok1 := median(early, name)
		after, ok2 := median(late, name)
		switch {
		case !ok1 || !ok2:
			errs = append(errs, fmt.Errorf("%s was not seen", name))
		case after > before*growth+allowed:
			errs = append(errs, fmt.Errorf("%s grows: %.0f in the second quarter, %.0f in the last", name, before, after))
		}
	}
	return errors.Join(errs...)
}

// series are the names of all that was seen.
func series(samples []sample) []string {
	names := map[string]bool{}
	for _, s := range samples {
		for n := range s.values {
			names[n] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// kind is what a series measures, whosever it is.
func kind(name string) string {
	for k := range slack {
		if strings.HasSuffix(name, k) {
			return k
		}
	}
	return name
}

func median(samples []sample, name string) (float64, bool) {
	var all []float64
	for _, s := range samples {
		if v, ok := s.values[name]; ok {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return all[len(all)/2], true
}
