package workflows

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// audited is what there is to compare, by looks: each has what the second one may not find any more.
type audited struct {
	mu     sync.Mutex
	env    *testsuite.TestWorkflowEnvironment
	bounds activities.AuditBounds
	fail   func(activities.AuditRangeInput) error
	gaps   []batch.Ranges // first look, second look
	twice  []batch.Ranges
	asked  []activities.AuditRangeInput
	seen   map[int64]int // by first offset of the piece
	direct func() (activities.Direct, error)
}

func newAudited(t *testing.T, ranges ...batch.Range) *audited {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	w := &audited{env: suite.NewTestWorkflowEnvironment(), bounds: activities.AuditBounds{TopicID: batch.TopicID{5}, Ranges: ranges}, gaps: make([]batch.Ranges, 2), twice: make([]batch.Ranges, 2), seen: map[int64]int{}}
	w.env.RegisterWorkflow(Audit)
	w.env.OnActivity(act.AuditBounds, mock.Anything, mock.Anything).Return(func(context.Context, activities.AuditScope) (activities.AuditBounds, error) { return w.bounds, nil })
	w.env.OnActivity(act.AuditRange, mock.Anything, mock.Anything).Return(w.look)
	w.direct = func() (activities.Direct, error) { return activities.Direct{}, nil }
	w.env.OnActivity(act.ResolveDirect, mock.Anything, activities.ResolveDirectInput{Topic: "t"}).Return(func(context.Context, activities.ResolveDirectInput) (activities.Direct, error) { return w.direct() })
	return w
}

func (w *audited) look(_ context.Context, in activities.AuditRangeInput) (activities.Audited, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, in)
	if w.fail != nil {
		if err := w.fail(in); err != nil {
			return activities.Audited{}, err
		}
	}
	n := w.seen[int64(in.Range.Partition)<<40+in.Range.First]
	w.seen[int64(in.Range.Partition)<<40+in.Range.First]++
	within := batch.Ranges{in.Range}
	if in.Only != nil {
		within = in.Only
	}
	find := func(all batch.Ranges) (f activities.Findings) {
		f.Ranges = all.Sub(all.Sub(within))
		if f.Offsets = f.Ranges.Len(); len(f.Ranges) > 200 {
			f.Ranges, f.More = f.Ranges[:200], true
		}
		return f
	}
	out := activities.Audited{Offsets: within.Len(), Gaps: find(w.gaps[n]), Doubled: find(w.twice[n])}
	out.Stored = out.Offsets - out.Gaps.Offsets
	return out, nil
}

func (w *audited) run(t *testing.T) AuditOutcome {
	t.Helper()
	w.env.ExecuteWorkflow(Audit, AuditInput{AuditScope: activities.AuditScope{Group: "g", Topic: "t"}})
	require.True(t, w.env.IsWorkflowCompleted())
	require.NoError(t, w.env.GetWorkflowError())
	var o AuditOutcome
	require.NoError(t, w.env.GetWorkflowResult(&o))
	require.True(t, o.Balanced(), "%+v", o)
	return o
}

func TestACleanAuditLooksOnceAtEveryOffset(t *testing.T) {
	w := newAudited(t, batch.Range{Partition: 0, First: 100, Last: 3*auditPiece + 5}, batch.Range{Partition: 2, First: 0, Last: 9})
	began := w.env.Now()
	o := w.run(t)
	require.Equal(t, "clean", o.Verdict())
	require.Equal(t, w.bounds.Ranges.Len(), o.Offsets)
	require.Equal(t, o.Offsets, o.Stored)
	var looked batch.Ranges
	for _, in := range w.asked {
		require.Nil(t, in.Only)
		require.Equal(t, batch.TopicID{5}, in.TopicID)
		require.LessOrEqual(t, in.Range.Len(), int64(auditPiece))
		looked = append(looked, in.Range)
	}
	require.Len(t, looked, 5)
	require.Equal(t, w.bounds.Ranges, looked.Sort())
	require.Equal(t, looked.Len(), looked.Sort().Len(), "each once")
	require.Less(t, w.env.Now().Sub(began), confirmAfter)
	v, err := w.env.QueryWorkflow(QueryProgress)
	require.NoError(t, err)
	var p AuditProgress
	require.NoError(t, v.Get(&p))
	require.Equal(t, AuditProgress{Phase: "done", Done: o.Offsets, Total: o.Offsets}, p)
}

func TestOnlyWhatASecondLookStillFindsIsAFinding(t *testing.T) {
	w := newAudited(t, batch.Range{Last: 2*auditPiece - 1})
	stays, moves := batch.Range{First: 10, Last: 46}, batch.Range{First: 100, Last: 104}
	w.gaps = []batch.Ranges{{stays, moves}, {{First: 5, Last: 200}}}
	w.gaps[1] = batch.Ranges{{First: 5, Last: 60}} // and what the first look did not find is not judged
	w.twice = []batch.Ranges{{{First: auditPiece + 7, Last: auditPiece + 7}}, nil}
	began := w.env.Now()
	o := w.run(t)
	require.Equal(t, "not clean", o.Verdict())
	require.Equal(t, activities.Findings{Offsets: 37, Ranges: batch.Ranges{stays}}, o.Gaps)
	require.Zero(t, o.Doubled.Offsets)
	require.EqualValues(t, 5, o.Moved)
	require.EqualValues(t, 2*auditPiece, o.Offsets)
	require.GreaterOrEqual(t, w.env.Now().Sub(began), confirmAfter)
	require.Len(t, w.asked, 4)
	require.Equal(t, batch.Ranges{stays, moves}, w.asked[slices.IndexFunc(w.asked, func(in activities.AuditRangeInput) bool { return in.Only != nil && in.Range.First == 0 })].Only)
}

func TestMoreFindingsThanAreListedAreLookedAtWhole(t *testing.T) {
	w := newAudited(t, batch.Range{Last: 9999})
	for i := range int64(500) {
		w.gaps[0] = append(w.gaps[0], batch.Range{First: 2 * i, Last: 2 * i})
	}
	w.gaps[1], w.twice[1] = w.gaps[0][100:], batch.Ranges{{First: 7000, Last: 7001}}
	o := w.run(t)
	require.EqualValues(t, 400, o.Gaps.Offsets)
	require.Len(t, o.Gaps.Ranges, 200)
	require.True(t, o.Gaps.More)
	require.Zero(t, o.Doubled.Offsets, "seen once only")
	require.Nil(t, w.asked[1].Only)
}

func TestWhatCannotBeComparedIsTold(t *testing.T) {
	w := newAudited(t, batch.Range{Partition: 0, Last: 9}, batch.Range{Partition: 1, Last: 9}, batch.Range{Partition: 2, Last: 9})
	w.bounds.Untold = []activities.Untold{{Partitions: []int32{3}, Why: "no commit"}}
	tries := 0
	w.fail = func(in activities.AuditRangeInput) error {
		switch in.Range.Partition {
		case 1:
			if tries++; tries < 9 { // an outage is waited out; the test suite tries ten times at most
				return problem(activities.Trouble{Class: activities.Outage, Name: "UNREACHABLE", Message: "refused"})
			}
		case 2:
			return problem(activities.Trouble{Class: activities.Blocked, Name: "UNKNOWN_TABLE", Message: "no logs"})
		}
		return nil
	}
	o := w.run(t)
	require.Equal(t, "could not tell", o.Verdict())
	require.EqualValues(t, 20, o.Offsets)
	require.Equal(t, []activities.Untold{{Partitions: []int32{3}, Why: "no commit"}, {Partitions: []int32{2}, Why: "UNKNOWN_TABLE: no logs"}}, o.Untold)
	require.Equal(t, 9, tries)
}

func TestAnAuditOfAMissingTopicCannotTell(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.OnActivity(act.AuditBounds, mock.Anything, mock.Anything).Return(func(context.Context, activities.AuditScope) (activities.AuditBounds, error) {
		return activities.AuditBounds{}, problem(activities.Trouble{Class: activities.Blocked, Name: "KAFKA_NO_TOPIC", Message: "t: topic does not exist"})
	})
	env.OnActivity(act.ResolveDirect, mock.Anything, mock.Anything).Return(activities.Direct{Rows: 4, Removed: 3}, nil)
	env.ExecuteWorkflow(Audit, AuditInput{AuditScope: activities.AuditScope{Group: "g", Topic: "t"}})
	require.NoError(t, env.GetWorkflowError())
	var o AuditOutcome
	require.NoError(t, env.GetWorkflowResult(&o))
	require.Equal(t, "could not tell", o.Verdict())
	require.Equal(t, "KAFKA_NO_TOPIC: t: topic does not exist", o.Untold[0].Why)
	require.Equal(t, activities.Direct{Rows: 4, Removed: 3}, o.Direct, "the table is there")
}

func TestOfDirectRowsOnlyThoseThatStandTwiceAreAFault(t *testing.T) {
	tries := 0
	for name, c := range map[string]struct {
		direct  activities.Direct
		err     func() error
		verdict string
		faults  int64
		untold  []activities.Untold
	}{
		"none":                 {verdict: "clean"},
		"removed and in doubt": {direct: activities.Direct{Rows: 9, Doubt: 5, Removed: 4}, verdict: "clean"},
		"stored twice":         {direct: activities.Direct{Rows: 9, Twice: 2, TwiceEvents: []uuid.UUID{{1}, {2}}}, verdict: "not clean", faults: 2},
		"no right to delete":   {direct: activities.Direct{Rows: 9, Kept: 4, Untold: "ACCESS_DENIED: grant it"}, verdict: "could not tell", untold: []activities.Untold{{Why: "ACCESS_DENIED: grant it"}}},
		"ClickHouse is away": {direct: activities.Direct{Rows: 1}, verdict: "clean", err: func() error {
			if tries++; tries < 9 {
				return problem(activities.Trouble{Class: activities.Outage, Name: "UNREACHABLE", Message: "refused"})
			}
			return nil
		}},
		"the table is not there": {verdict: "could not tell", err: func() error {
			return problem(activities.Trouble{Class: activities.Blocked, Name: "UNKNOWN_TABLE", Message: "no logs"})
		}, untold: []activities.Untold{{Why: "UNKNOWN_TABLE: no logs"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAudited(t, batch.Range{Last: 9})
			w.direct = func() (activities.Direct, error) {
				if c.err != nil {
					if err := c.err(); err != nil {
						return activities.Direct{}, err
					}
				}
				return c.direct, nil
			}
			o := w.run(t)
			require.Equal(t, c.verdict, o.Verdict())
			require.Equal(t, c.faults, o.Faults())
			require.Equal(t, c.direct, o.Direct)
			require.Equal(t, c.untold, o.Untold)
			require.EqualValues(t, 10, o.Stored)
		})
	}
	require.Equal(t, 9, tries)
}

func TestAnAuditThatBeganBeforeDirectRowsWereSearchedEndsAsItBegan(t *testing.T) {
	w := newAudited(t, batch.Range{Last: 9})
	w.env.OnGetVersion("resolve-direct-20261127", workflow.DefaultVersion, workflow.Version(1)).Return(workflow.DefaultVersion)
	w.direct = func() (activities.Direct, error) {
		t.Error("searched")
		return activities.Direct{}, nil
	}
	require.Equal(t, "clean", w.run(t).Verdict())
}

func TestALongAuditGoesOnInANewRun(t *testing.T) {
	ranges := batch.Ranges{{Partition: 0, Last: 6*auditPiece - 1}, {Partition: 1, Last: 99}}
	gaps := batch.Ranges{{Partition: 0, First: 5, Last: 6}, {Partition: 0, First: 4 * auditPiece, Last: 4*auditPiece + 9}}
	in := AuditInput{AuditScope: activities.AuditScope{Group: "g", Topic: "t"}}
	looked := map[batch.Range]int{}
	seen := map[int64]int{}
	for runs := 1; ; runs++ {
		require.LessOrEqual(t, runs, 10)
		w := newAudited(t, ranges...)
		w.gaps, w.seen = []batch.Ranges{gaps, gaps}, seen
		w.env.SetContinueAsNewSuggested(true)
		w.env.ExecuteWorkflow(Audit, in)
		for _, a := range w.asked {
			if a.Only == nil {
				looked[a.Range]++
			}
		}
		err := w.env.GetWorkflowError()
		if err == nil {
			var o AuditOutcome
			require.NoError(t, w.env.GetWorkflowResult(&o))
			require.Equal(t, activities.Findings{Offsets: 12, Ranges: gaps}, o.Gaps)
			require.Equal(t, ranges.Len(), o.Offsets)
			require.Greater(t, runs, 3)
			break
		}
		var next *workflow.ContinueAsNewError
		require.ErrorAs(t, err, &next)
		in = AuditInput{}
		require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &in))
		require.Equal(t, batch.TopicID{5}, in.TopicID)
	}
	require.Len(t, looked, 7)
	for r, n := range looked {
		require.Equal(t, 1, n, "%s", r)
	}
}
