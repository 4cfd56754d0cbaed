package workflows

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// aside is what MakeWay asks of a server.
type aside struct {
	env    *testsuite.TestWorkflowEnvironment
	made   bool
	left   []int64 // what each move leaves
	did    []string
	runs   int // how often a redrive is found running
	late   bool
	denied int
}

func newAside(t *testing.T) *aside {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	a := &aside{env: suite.NewTestWorkflowEnvironment()}
	a.env.RegisterWorkflow(MakeWay)
	a.env.RegisterWorkflow(Resume)
	a.env.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Maybe()
	a.env.OnActivity(act.PlanAside, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.AsideInput) (activities.Aside, error) {
		if a.made {
			return activities.Aside{}, nil
		}
		return activities.Aside{Truncated: in.Truncated, Until: a.env.Now()}, nil
	})
	a.env.OnActivity(act.KeepLetters, mock.Anything, mock.Anything).Return(func(context.Context, activities.AsideInput) (int64, error) {
		a.did = append(a.did, "letters")
		return 2, nil
	})
	a.env.OnActivity(act.AwaitRedrive, mock.Anything, mock.Anything).Return(func(_ context.Context, id string) (bool, error) {
		if a.runs--; a.runs >= 0 {
			return false, problem(activities.Trouble{Class: activities.Outage, Name: "REDRIVE_RUNS", Message: id})
		}
		a.did = append(a.did, "redrive over")
		return a.late, nil
	})
	a.env.OnActivity(act.KeepRows, mock.Anything, mock.Anything).Return(func(context.Context, activities.AsideInput) (activities.Kept, error) {
		if a.denied--; a.denied >= 0 {
			return activities.Kept{}, problem(activities.Trouble{Class: activities.Blocked, Name: "ACCESS_DENIED", Message: "ALTER UPDATE"})
		}
		a.did = append(a.did, "rows")
		k := activities.Kept{Rows: 7}
		if len(a.left) > 0 {
			k.Left, a.left = a.left[0], a.left[1:]
		}
		return k, nil
	})
	a.env.OnActivity(act.NoteAside, mock.Anything, mock.Anything).Return(func(context.Context, activities.AsideInput) error {
		a.did, a.made = append(a.did, "noted"), true
		return nil
	})
	return a
}

var torn = batch.Batch{Group: "g", Topic: "t", Number: 7, Nonce: "n", Truncated: []batch.Truncation{{Partition: 1, End: 6, Planned: 10, Epoch: 3, Leader: 4}}}

func (a *aside) makeWay(t *testing.T) batch.Outcome {
	t.Helper()
	a.env.ExecuteWorkflow(MakeWay, torn)
	require.True(t, a.env.IsWorkflowCompleted())
	require.NoError(t, a.env.GetWorkflowError())
	var o batch.Outcome
	require.NoError(t, a.env.GetWorkflowResult(&o))
	return o
}

func TestWayIsMadeForNewRecordsInThisOrder(t *testing.T) {
	a := newAside(t)
	o := a.makeWay(t)
	require.Equal(t, []string{"letters", "redrive over", "rows", "noted"}, a.did)
	require.EqualValues(t, 7, o.KeptRows)
	require.EqualValues(t, 2, o.KeptLetters)
}

func TestNothingMovesOnceItIsWrittenDown(t *testing.T) {
	a := newAside(t)
	a.made = true
	a.makeWay(t)
	require.Empty(t, a.did)
}

func TestNothingIsWrittenDownWhileRowsAreLeft(t *testing.T) {
	a := newAside(t)
	a.left = []int64{3, 1}
	a.makeWay(t)
	require.Equal(t, []string{"letters", "redrive over", "rows", "letters", "redrive over", "rows", "letters", "redrive over", "rows", "noted"}, a.did)
}

func TestRowsMoveAfterARedriveThatHadTakenLetters(t *testing.T) {
	a := newAside(t)
	a.runs, a.late = 5, true
	began := a.env.Now()
	a.makeWay(t)
	require.Equal(t, []string{"letters", "redrive over", "rows", "noted"}, a.did)
	require.GreaterOrEqual(t, a.env.Now().Sub(began), activities.Quiet, "one that was ended may have sent something")
}

func TestAMissingRightToMoveRowsBlocksUntilItIsGranted(t *testing.T) {
	a := newAside(t)
	a.denied = 3
	began := a.env.Now()
	a.makeWay(t)
	require.GreaterOrEqual(t, a.env.Now().Sub(began), 3*blockedEvery)
	require.Equal(t, []string{"letters", "redrive over", "rows", "noted"}, a.did)
}

func TestARequestToResumeEndsWithTheEntryThatAnswersIt(t *testing.T) {
	a := newAside(t)
	gone := 1
	a.env.OnActivity(act.AwaitBatch, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.AwaitInput) (activities.Awaited, error) {
		require.Equal(t, "default-test-workflow-id", in.For)
		if gone--; gone >= 0 {
			return activities.Awaited{Gone: true}, nil
		}
		return activities.Awaited{Outcome: batch.Outcome{KeptRows: 7}}, nil
	})
	for n := range int64(2) { // the first one vanishes
		a.env.RegisterDelayedCallback(func() { a.env.SignalWorkflow(SignalPlanned, Planned{Number: 8 + n}) }, time.Duration(n+1)*time.Minute)
	}
	a.env.ExecuteWorkflow(Resume, ResumeInput{Group: "g", Topic: "t", Truncated: torn.Truncated})
	require.NoError(t, a.env.GetWorkflowError())
	var r ResumeResult
	require.NoError(t, a.env.GetWorkflowResult(&r))
	require.Equal(t, ResumeResult{Number: 9, KeptRows: 7}, r)
}

func TestARequestToResumeThatNobodyAnswersEnds(t *testing.T) {
	a := newAside(t)
	a.env.ExecuteWorkflow(Resume, ResumeInput{Group: "g", Topic: "t", Truncated: torn.Truncated})
	require.ErrorContains(t, a.env.GetWorkflowError(), "ask again")
}
