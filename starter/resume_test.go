package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

func TestResumeAsksNobodyWhereThereIsNoTerminal(t *testing.T) {
	err := confirm(strings.NewReader("y\n"), io.Discard)
	require.ErrorContains(t, err, "say --yes")
}

func TestWhatATopicHasLostIsATable(t *testing.T) {
	d := damage{Topic: "t", Truncated: []loss{{Truncation: batch.Truncation{Partition: 3, End: 336, Planned: 636, Epoch: 1}, LogEnd: 536, Rows: 290, Letters: 10}}}
	var out strings.Builder
	require.NoError(t, d.print(&out))
	require.Regexp(t, `(?m)^3 +636 +336 +536 +200 +290 +10 +0000`, out.String())
	require.NoError(t, d.unproven())
	out.Reset()
	d = damage{Topic: "t", Short: []batch.Position{{Partition: 4, Offset: 9}}}
	require.NoError(t, d.print(&out))
	require.Contains(t, out.String(), "nothing to resume")
	require.ErrorContains(t, d.unproven(), "partitions [4]")
}
