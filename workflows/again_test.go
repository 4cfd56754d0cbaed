package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// More holes than one run's history has room for: each run goes on behind the
// one before it.
func TestHolesBeyondOneRunsHistoryHoldNothingUp(t *testing.T) {
	const last = 39
	in := batch.Batch{Group: "g", Topic: "t", Nonce: "n", Ranges: batch.Ranges{{First: 0, Last: last}}, Limits: batch.Limits{BlockRecords: 100, BlockBytes: 1 << 20}}
	stored := map[int64]bool{}
	for o := int64(0); o < last; o += 2 { // by a run whose worker died; what is absent are commit markers
		stored[o] = true
	}
	for run := range 10 {
		w := newWorld(t)
		w.listed, w.stored = 2, stored
		for o := int64(1); o <= last; o += 2 {
			w.holes[o] = true
		}
		turns := 0
		for range 20 {
			w.insert = append(w.insert, func(activities.InsertInput) error {
				if turns++; turns == 4 {
					w.env.SetContinueAsNewSuggested(true)
				}
				return nil
			})
		}
		w.env.ExecuteWorkflow(Ingest, in)
		err := w.env.GetWorkflowError()
		if err == nil {
			var o batch.Outcome
			require.NoError(t, w.env.GetWorkflowResult(&o))
			require.True(t, o.Balanced())
			require.EqualValues(t, 20, o.Holes)
			require.Positive(t, run)
			return
		}
		var next *workflow.ContinueAsNewError
		require.ErrorAs(t, err, &next)
		sum := in.Checksum()
		require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &in))
		require.Equal(t, sum, in.Checksum(), "it is the same entry")
	}
	t.Fatal("the batch never ends")
}

// A password that was changed on Friday: each minute adds eleven events to a
// history that may have 51,200.
func TestABatchThatIsBlockedForDaysGoesOnInANewRun(t *testing.T) {
	w := newWorld(t)
	tries := 0
	for range 5000 {
		w.insert = append(w.insert, func(activities.InsertInput) error {
			if tries++; tries == 300 {
				w.env.SetContinueAsNewSuggested(true)
			}
			return problem(activities.Trouble{Class: activities.Blocked, Code: 516, Name: "AUTHENTICATION_FAILED", Message: "wrong password"})
		})
	}
	w.env.ExecuteWorkflow(Ingest, wide())
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, w.env.GetWorkflowError(), &next)
	require.Less(t, tries, 310)
}

// The server may know a token though its rows are not there: its log is written
// before the part. A first run looks again after any doubt, and has a new turn.
func TestARunThatBeginsAgainUsesTokensOfItsOwn(t *testing.T) {
	runs := map[string]bool{}
	for _, again := range []bool{false, true} {
		w := newWorld(t)
		in := wide()
		in.Again = again
		w.insert = []func(activities.InsertInput) error{func(in activities.InsertInput) error { runs[in.Run] = true; return nil }}
		w.finish(t, in)
	}
	require.Len(t, runs, 2)
	require.True(t, runs[""])
}
