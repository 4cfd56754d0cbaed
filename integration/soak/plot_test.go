package main

import (
	"encoding/csv"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThePictureHasEverySeriesAndItsFiguresAreBesideIt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "soak.png")
	var samples []sample
	for i := range 100 {
		v := map[string]float64{database: float64(i), parts: 12, waiting: float64(i % 7)}
		for _, p := range []string{"worker 1", "consumer 1", "kafka"} {
			v[p+" "+memory], v[p+" "+files] = 200, 30
		}
		v["worker 1 "+goroutines] = 150
		if i%10 == 0 {
			delete(v, "kafka "+memory) // it was killed
		}
		samples = append(samples, sample{at: time.Duration(i) * time.Minute, values: v})
	}
	require.NoError(t, picture(samples, file))
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	_, err = png.Decode(f)
	require.NoError(t, err)

	c, err := os.Open(filepath.Join(filepath.Dir(file), "soak.csv"))
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	rows, err := csv.NewReader(c).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 101)
	require.Equal(t, append([]string{"seconds"}, series(samples)...), rows[0])
	require.Empty(t, rows[1][slices.Index(rows[0], "kafka "+memory)], "what was not seen is left open")
}
