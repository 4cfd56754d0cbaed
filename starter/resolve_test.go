package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/frontend/frontendtest"
)

func TestResolveRefusesWhatMakesNoSenseBeforeItAsksAnybody(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	for want, args := range map[string][]string{
		`"burn" is no decision: choose one of retry`: {"id", "burn"},
		"give --reason":                  {"id", "skip"},
		"--all belongs to dead_letter":   {"id", "retry", "--all"},
		"which batch?":                   {"retry"},
		"not both":                       {"id", "retry", "--state", "held"},
		"add --state or --error":         {"retry", "--topic", "ai_backlog_logs"},
		`--state "stored" is none of`:    {"retry", "--state", "stored"},
		"give a plain name":              {"retry", "--error", "x' OR 'a' = 'a"},
		"no answer from Temporal at":     {"id", "retry"},
		"--limit must be at least 1":     {"retry", "--state", "held", "--limit", "0"},
		"accepts between 1 and 2 arg(s)": {},
	} {
		_, _, err := starter(t, "", append([]string{"resolve"}, args...)...)
		require.ErrorContains(t, err, want)
	}
}

func TestResolveOnARealTemporal(t *testing.T) {
	frontendtest.Needed(t)
	_, _, err := starter(t, "", "resolve", "no/such/batch/1", "retry")
	require.ErrorContains(t, err, "no open batch no/such/batch/1")
	for _, args := range [][]string{{"--state", "held"}, {"--error", "UNKNOWN_TABLE", "--topic", "ai_backlog_logs"}, {"--query", "IngestRecords > 5 OR IngestDeadLetters > 1"}} {
		out, _, err := starter(t, "", append([]string{"resolve", "--dry-run", "retry"}, args...)...)
		require.NoError(t, err)
		require.Equal(t, "no batches\n", out)
	}
}
