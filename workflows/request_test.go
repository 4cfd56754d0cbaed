package workflows

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// request is a Replay of offsets 0 to 99 of partition 0, and the batches that it was told of.
type request struct {
	t   *testing.T
	env *testsuite.TestWorkflowEnvironment
	in  ReplayInput
	mu  sync.Mutex // two batches may be awaited at once
	// ends are what the tries to await a batch find, in turn: nil is not yet. The last one stays.
	ends  map[string][]*activities.Awaited
	tries map[string]int
}

func newRequest(t *testing.T) *request {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	r := &request{
		t: t, env: suite.NewTestWorkflowEnvironment(), ends: map[string][]*activities.Awaited{}, tries: map[string]int{},
		in: ReplayInput{Group: "g", Topic: "t", Ranges: batch.Ranges{{First: 0, Last: 99}}, NotBefore: time.Unix(1, 0).UTC()},
	}
	r.env.RegisterWorkflow(Replay)
	r.env.OnActivity(act.AwaitBatch, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.AwaitInput) (activities.Awaited, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tries[in.Workflow]++
		ends := r.ends[in.Workflow]
		if len(ends) > 1 {
			r.ends[in.Workflow] = ends[1:]
		}
		if len(ends) == 0 || ends[0] == nil {
			return activities.Awaited{}, problem(activities.Trouble{Class: activities.Outage, Name: "NOT_YET", Message: "running"})
		}
		return *ends[0], nil
	})
	return r
}

// end says what the tries to await a batch find from now on.
func (r *request) end(n int64, finds []*activities.Awaited) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends[batchID(n)] = finds
}

func completed(o batch.Outcome) *activities.Awaited { return &activities.Awaited{Outcome: o} }

// at does it after so many seconds.
func (r *request) at(seconds int, do func()) {
	r.env.RegisterDelayedCallback(do, time.Duration(seconds)*time.Second)
}

func (r *request) planned(n, first, last int64) {
	r.env.SignalWorkflow(SignalPlanned, Planned{Number: n, Ranges: batch.Ranges{{First: first, Last: last}}})
}

func (r *request) rest() Rest {
	r.t.Helper()
	var rest Rest
	v, err := r.env.QueryWorkflow(QueryRest)
	require.NoError(r.t, err)
	require.NoError(r.t, v.Get(&rest))
	return rest
}

func (r *request) run() ReplayResult {
	r.t.Helper()
	r.env.ExecuteWorkflow(Replay, r.in)
	require.True(r.t, r.env.IsWorkflowCompleted())
	require.NoError(r.t, r.env.GetWorkflowError())
	var out ReplayResult
	require.NoError(r.t, r.env.GetWorkflowResult(&out))
	return out
}

func batchID(n int64) string { return batch.ID("g", "t", batch.TopicID{}, n) }

func TestAReplayIsOpenUntilCompletedBatchesCoverIt(t *testing.T) {
	r := newRequest(t)
	r.end(7, []*activities.Awaited{nil, nil, completed(batch.Outcome{Offsets: 60, Present: 50, Stored: 8, Holes: 2})})
	r.end(8, []*activities.Awaited{completed(batch.Outcome{Offsets: 40, Present: 37, DeadLettered: 1, Lost: 1, Skipped: 1})})
	r.at(1, func() {
		require.Equal(t, batch.Ranges{{First: 0, Last: 99}}, r.rest().Ranges)
		require.Equal(t, r.in.NotBefore, r.rest().NotBefore)
		require.False(t, r.rest().Asked.IsZero())
		r.planned(7, 0, 59)
	})
	r.at(2, func() { r.planned(7, 0, 59) }) // told twice
	r.at(3, func() { require.Equal(t, batch.Ranges{{First: 60, Last: 99}}, r.rest().Ranges) })
	r.at(60, func() {
		var p ReplayProgress
		v, err := r.env.QueryWorkflow(QueryProgress)
		require.NoError(t, err)
		require.NoError(t, v.Get(&p))
		require.Equal(t, []int64{100, 60, 0, 8}, []int64{p.Asked, p.Covered, int64(p.Open), p.Stored})
		r.planned(7, 0, 59) // told again, long after it ended
		r.planned(8, 60, 99)
	})
	require.Equal(t, ReplayResult{Offsets: 100, Present: 87, Stored: 8, DeadLettered: 1, Holes: 2, Lost: 1, Skipped: 1, Batches: 2}, r.run())
	require.Equal(t, map[string]int{batchID(7): 3, batchID(8): 1}, r.tries)
}

func TestABatchIsAskedForAtOnceAndThenEveryTwoSeconds(t *testing.T) {
	r := newRequest(t)
	r.at(1, func() { r.planned(0, 0, 99) })
	r.at(11, func() {
		r.end(0, []*activities.Awaited{completed(batch.Outcome{Offsets: 100, Stored: 100})})
	})
	began := r.env.Now()
	require.EqualValues(t, 100, r.run().Stored)
	require.LessOrEqual(t, r.env.Now().Sub(began), 13*time.Second)
	require.Equal(t, 9, r.tries[batchID(0)], "after 0, 250, 500 ms, 1 s, and two seconds each")
}

func TestWhatAVanishedBatchWasToCoverIsAskedForAgain(t *testing.T) {
	r := newRequest(t)
	r.end(3, []*activities.Awaited{nil, {Gone: true}, completed(batch.Outcome{Offsets: 30, Stored: 30})})
	r.end(4, []*activities.Awaited{completed(batch.Outcome{Offsets: 70, Stored: 70})})
	r.at(1, func() { r.planned(3, 0, 99) })
	r.at(10, func() {
		require.Equal(t, batch.Ranges{{First: 0, Last: 99}}, r.rest().Ranges)
		r.planned(3, 0, 29) // the number was free again
	})
	r.at(20, func() {
		require.Equal(t, batch.Ranges{{First: 30, Last: 99}}, r.rest().Ranges)
		r.planned(4, 30, 99)
	})
	require.EqualValues(t, 100, r.run().Stored)
}

func TestANumberThatIsToldWithOtherRangesIsAnotherBatch(t *testing.T) {
	r := newRequest(t)
	r.at(1, func() { r.planned(3, 0, 99) })
	r.at(10, func() { r.planned(3, 0, 29) })
	r.at(12, func() {
		require.Equal(t, batch.Ranges{{First: 30, Last: 99}}, r.rest().Ranges, "the first one vanished, whether it was seen or not")
		r.end(3, []*activities.Awaited{completed(batch.Outcome{Offsets: 30, Stored: 30})})
	})
	r.at(20, func() {
		require.Equal(t, batch.Ranges{{First: 30, Last: 99}}, r.rest().Ranges, "what the old one is found to be does not count")
		r.end(4, []*activities.Awaited{completed(batch.Outcome{Offsets: 70, Stored: 70})})
		r.planned(4, 30, 99)
	})
	require.Equal(t, ReplayResult{Offsets: 100, Stored: 100, Batches: 2}, r.run())
}

func TestALongReplayGoesOnInANewRun(t *testing.T) {
	r := newRequest(t)
	r.end(3, []*activities.Awaited{completed(batch.Outcome{Offsets: 10, Stored: 10})})
	r.at(1, func() { r.planned(3, 0, 9) })
	r.at(2, func() {
		r.env.SetContinueAsNewSuggested(true)
		r.planned(4, 10, 29)
	})
	r.env.ExecuteWorkflow(Replay, r.in)
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, r.env.GetWorkflowError(), &next)
	var in ReplayInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &in))
	require.Equal(t, r.in.Ranges, in.Ranges)
	require.Equal(t, batch.Ranges{{First: 0, Last: 9}}, in.So.Done)
	require.Equal(t, []Planned{{Number: 4, Ranges: batch.Ranges{{First: 10, Last: 29}}}}, in.So.Told)

	q := newRequest(t)
	q.in = in
	q.end(4, []*activities.Awaited{completed(batch.Outcome{Offsets: 20, Stored: 20})})
	q.end(5, []*activities.Awaited{completed(batch.Outcome{Offsets: 70, Stored: 70})})
	q.at(5, func() {
		require.Equal(t, batch.Ranges{{First: 30, Last: 99}}, q.rest().Ranges)
		require.Equal(t, in.So.Asked, q.rest().Asked, "it does not lose its turn")
		q.planned(5, 30, 99)
	})
	require.Equal(t, ReplayResult{Offsets: 100, Stored: 100, Batches: 3}, q.run())
}

func TestACancelledReplayEnds(t *testing.T) {
	r := newRequest(t)
	r.at(1, func() { r.planned(3, 0, 9) })
	r.at(5, r.env.CancelWorkflow)
	r.env.ExecuteWorkflow(Replay, r.in)
	require.True(t, temporal.IsCanceledError(errors.Unwrap(r.env.GetWorkflowError())), "%v", r.env.GetWorkflowError())
}

func TestAReplayOfTooManyRangesIsRefused(t *testing.T) {
	for _, n := range []int64{0, MaxReplayRanges + 1} {
		r := newRequest(t)
		r.in.Ranges = nil
		for i := range n {
			r.in.Ranges = append(r.in.Ranges, batch.Range{First: i * 2, Last: i * 2})
		}
		r.env.ExecuteWorkflow(Replay, r.in)
		require.ErrorContains(t, r.env.GetWorkflowError(), "1 to 2000 ranges")
	}
}
