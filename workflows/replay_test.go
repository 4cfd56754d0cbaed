package workflows

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
)

// TestRecordedHistoriesReplay: batches that are open during an upgrade go on
// with the new code only if it decides as the old one did.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/history/*/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files, "each release leaves histories; record them with integration/history")
	for _, f := range files {
		t.Run(f, func(t *testing.T) {
			r := worker.NewWorkflowReplayer()
			r.RegisterWorkflow(Ingest)
			r.RegisterWorkflow(Replay)
			r.RegisterWorkflow(Redrive)
			r.RegisterWorkflow(Audit)
			require.NoError(t, r.ReplayWorkflowHistoryFromJSONFile(nil, f))
		})
	}
}
