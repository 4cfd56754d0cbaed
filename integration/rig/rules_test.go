package rig

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShortenedRulesAreTheSameWithShorterTimes(t *testing.T) {
	text := `
groups:
  - name: fast
    rules:
      - alert: Late
        expr: max by (topic) (late_5m) > 5m and increase(things_total{job="3h x"}[1h]) > 10
        for: 2m
        annotations: {summary: For 2m}
  - name: slow
    rules: [{alert: Old, expr: time() - last > 1d}]
`
	out, err := Shortened([]byte(text), map[string]int{"fast": 60, "slow": 8640})
	require.NoError(t, err)
	require.Contains(t, string(out), `max by (topic) (late_5m) > 5s and increase(things_total{job="3m x"}[1m]) > 10`, "strings have none")
	require.Contains(t, string(out), "for: 2s")
	require.Contains(t, string(out), "summary: For 2m")
	require.Contains(t, string(out), "time() - last > 10s")
	_, err = Shortened([]byte(text), map[string]int{"fast": 60})
	require.ErrorContains(t, err, `"slow"`)
}
