package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// course is a run of which one series is of that kind.
func course(name string, value func(i int) float64) (out []sample) {
	for i := range 400 {
		out = append(out, sample{at: time.Duration(i) * 10 * time.Second, values: map[string]float64{name: value(i)}})
	}
	return out
}

func TestWhatStandsStillOrPeaksIsFlatAndWhatCreepsIsNot(t *testing.T) {
	t.Parallel()
	const name = "worker 1 " + memory
	require.NoError(t, flat(course(name, func(int) float64 { return 300 })))
	require.NoError(t, flat(course(name, func(i int) float64 { return float64(min(i, 100)) * 3 })), "it fills in the first quarter")
	require.NoError(t, flat(course(name, func(i int) float64 { return 300 + float64(i%3)/2*400 })), "peaks")
	require.EqualError(t, flat(course(name, func(i int) float64 { return 100 + float64(i) })), "worker 1 memory MiB grows: 250 in the second quarter, 450 in the last")
	require.NoError(t, flat(course(waiting, func(i int) float64 { return float64(i) })), "lag is not judged here")
	require.Error(t, flat(course(name, func(int) float64 { return 1 })[:8]))

	gone := course(name, func(int) float64 { return 300 })
	for _, s := range gone[300:] {
		delete(s.values, name)
	}
	require.EqualError(t, flat(gone), name+" was not seen")
}
