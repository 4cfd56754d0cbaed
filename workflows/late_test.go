package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
)

// viewThrows is an answer after the table took n rows.
func viewThrows(w *world, first, n int64) func(activities.InsertInput) error {
	return func(in activities.InsertInput) error {
		rs := in.Ranges.Slice(first, n)
		each(rs, func(o int64) { w.stored[o] = true })
		return problem(activities.Trouble{Class: activities.Outage, Code: 395, Name: "THROW_IF", Message: "threw", Block: n, Progress: activities.Progress{Done: first, Doubt: true}})
	}
}

// An accept arrives while the resend runs that mends the first block.
func TestAnAcceptIsOfTheBlockWhoseViewThrewWhenItWasGiven(t *testing.T) {
	w := newWorld(t)
	var a *answers
	accepted := 0
	w.insert = []func(activities.InsertInput) error{
		viewThrows(w, 0, 100), // block 1: the view throws
		func(activities.InsertInput) error { // the view is mended, block 1 goes through; the accept arrives meanwhile
			a = &answers{}
			w.env.UpdateWorkflow(ResolveName, "", a, Decision{Verb: Accept, By: "anna"})
			return problem(activities.Trouble{Class: activities.Outage, Code: 395, Name: "THROW_IF", Message: "threw on block 2", Block: 100, Progress: activities.Progress{Done: 100, Stored: 100, Doubt: true}})
		},
		func(activities.InsertInput) error { accepted++; return nil },
	}
	// block 2's rows are stored when its view throws
	w.env.RegisterDelayedCallback(func() {
		for o := range int64(200) {
			w.stored[o] = true
		}
	}, time.Second)
	w.finish(t, wide())
	require.Equal(t, 1, accepted, "block 2 is resent: nobody accepted its fault")
}

func TestAnAcceptThatCameTooLateHoldsUpNothing(t *testing.T) {
	w := newWorld(t)
	tries := 0
	w.bad[3] = true
	w.insert = []func(activities.InsertInput) error{
		viewThrows(w, 0, 200),
		func(activities.InsertInput) error {
			w.env.UpdateWorkflow(ResolveName, "", &answers{}, Decision{Verb: Accept, By: "anna"})
			return nil // mended
		},
	}
	var first time.Time
	delete(w.stored, 3)
	w.env.RegisterDelayedCallback(func() { delete(w.stored, 3) }, time.Second)
	for range 300 {
		w.route = append(w.route, func(activities.DeadLetterInput) error {
			if tries++; tries == 1 {
				first = w.env.Now()
			}
			return problem(activities.Trouble{Class: activities.Blocked, Code: 497, Name: "ACCESS_DENIED", Message: "no grant"})
		})
	}
	w.finish(t, wide())
	require.Greater(t, w.env.Now().Sub(first), 200*time.Minute, "a try a minute")
}

func TestASecondApproveIsRefused(t *testing.T) {
	w := newWorld(t)
	for o := range int64(150) {
		w.bad[o] = true
	}
	w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(ResolveName, Decision{Verb: Approve}) }, time.Hour)
	tries := 0
	var second *answers
	var first time.Time
	var last time.Time
	for range 300 {
		w.route = append(w.route, func(activities.DeadLetterInput) error {
			if tries++; tries == 1 {
				first = w.env.Now()
				second = &answers{}
				w.env.UpdateWorkflow(ResolveName, "", second, Decision{Verb: Approve, By: "bert"})
			}
			last = w.env.Now()
			return problem(activities.Trouble{Class: activities.Blocked, Code: 497, Name: "ACCESS_DENIED", Message: "no grant"})
		})
	}
	w.finish(t, wide())
	require.Greater(t, last.Sub(first), 200*time.Minute, "a try a minute")
	require.Len(t, second.rejected, 1)
}

func TestARetryFromBeforeTheLookExpiredIsNoAccept(t *testing.T) {
	w := newWorld(t)
	var a *answers
	w.insert = []func(activities.InsertInput) error{
		viewThrows(w, 0, 200),
		func(activities.InsertInput) error {
			a = &answers{}
			w.env.UpdateWorkflow(ResolveName, "", a, Decision{Verb: Retry})
			return problem(activities.Trouble{Class: activities.Expired, Name: "LOOK_EXPIRED", Message: "old"})
		},
	}
	w.decide(24*time.Hour, Decision{Verb: Accept})
	began := w.env.Now()
	w.finish(t, wide())
	require.Greater(t, w.env.Now().Sub(began), 23*time.Hour, "only accept ends it")
}

func TestWhatWasSkippedStaysSkippedWhenTheHistoryIsLong(t *testing.T) {
	in := wide()
	w := newWorld(t)
	for range 5000 {
		w.insert = append(w.insert, func(activities.InsertInput) error {
			return problem(activities.Trouble{Class: activities.Blocked, Code: 60, Name: "UNKNOWN_TABLE", Message: "x"})
		})
	}
	w.env.RegisterDelayedCallback(func() {
		w.env.UpdateWorkflow(ResolveName, "", &answers{}, Decision{Verb: Skip, Reason: "garbage"})
		w.env.SetContinueAsNewSuggested(true) // the history has got long just now
	}, time.Hour)
	w.env.ExecuteWorkflow(Ingest, in)
	err := w.env.GetWorkflowError()
	if err == nil {
		return
	}
	require.EqualValues(t, 200, w.noted[activities.ExceptionSkipped])
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, err, &next)
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &in))
	w2 := newWorld(t) // the table is back
	w2.env.ExecuteWorkflow(Ingest, in)
	require.NoError(t, w2.env.GetWorkflowError())
	require.Empty(t, w2.stored, "they were skipped, and noted as that")
}

func TestADecisionIsCarriedOutThoughALookExpires(t *testing.T) {
	w := newWorld(t)
	tries := 0
	for range 5000 {
		w.insert = append(w.insert, func(activities.InsertInput) error {
			tries++
			return problem(activities.Trouble{Class: activities.Blocked, Code: 60, Name: "UNKNOWN_TABLE", Message: "x"})
		})
	}
	w.route = []func(activities.DeadLetterInput) error{func(activities.DeadLetterInput) error {
		return problem(activities.Trouble{Class: activities.Expired, Name: "LOOK_EXPIRED", Message: "old"})
	}}
	w.decide(time.Hour, Decision{Verb: DeadLetter, All: true})
	o := w.finish(t, wide())
	require.EqualValues(t, 200, o.DeadLettered)
}

func TestARefusedRowDoesNotLetAFloodOfUndecodableOnesPass(t *testing.T) {
	w := newWorld(t)
	for o := range int64(150) {
		w.bad[o] = true
	}
	w.refused[199] = true
	w.decide(time.Hour, Decision{Verb: Approve})
	w.finish(t, wide())
	require.Contains(t, w.states, "held")
}

func TestDeadLettersThatTheirTableRefusesAreTriedNowAndThen(t *testing.T) {
	w := newWorld(t)
	w.refused[7] = true
	tries := 0
	var first, last time.Time
	for range 100 {
		w.route = append(w.route, func(activities.DeadLetterInput) error {
			if tries++; tries == 1 {
				first = w.env.Now()
			}
			last = w.env.Now()
			return problem(activities.Trouble{Class: activities.Rejected, Code: 469, Name: "VIOLATED_CONSTRAINT", Message: "dead_letters refuses"})
		})
	}
	w.finish(t, wide())
	require.Greater(t, last.Sub(first), time.Minute)
}

func TestDecodersThatKeepDisagreeingAreAskedNowAndThen(t *testing.T) {
	w := newWorld(t)
	w.refused[7] = true
	tries := 0
	var first, last time.Time
	for range 100 {
		w.route = append(w.route, func(activities.DeadLetterInput) error {
			if tries++; tries == 1 {
				first = w.env.Now()
			}
			last = w.env.Now()
			return problem(activities.Trouble{Class: activities.Disagree, Name: "DECODERS_DISAGREE", Message: "other version"})
		})
	}
	w.finish(t, wide())
	require.Greater(t, last.Sub(first), time.Minute)
}

func TestADecisionGoesThroughMoreHolesThanALookLists(t *testing.T) {
	w := newWorld(t)
	w.listed = 5
	for o := range int64(100) {
		if o%2 == 0 {
			w.holes[o] = true
		} else {
			w.stored[o] = true
		}
	}
	for range 5000 {
		w.insert = append(w.insert, func(activities.InsertInput) error {
			return problem(activities.Trouble{Class: activities.Blocked, Code: 243, Name: "NOT_ENOUGH_SPACE", Message: "x"})
		})
	}
	n := 0
	for range 1000 {
		w.route = append(w.route, func(activities.DeadLetterInput) error {
			if n++; n == 500 {
				w.listed = 0
			}
			return nil
		})
	}
	w.decide(time.Hour, Decision{Verb: DeadLetter, All: true})
	w.finish(t, wide())
	require.Less(t, n, 100)
}

func TestABlockThatIsThereInPartIsNoViewsFaultWithoutAView(t *testing.T) {
	w := newWorld(t)
	w.noViews = true
	w.insert = []func(activities.InsertInput) error{
		func(in activities.InsertInput) error {
			each(in.Ranges.Slice(0, 50), func(o int64) { w.stored[o] = true }) // one partition of the table
			return problem(activities.Trouble{Class: activities.Outage, Code: 999, Name: "KEEPER_EXCEPTION", Message: "x", Block: 200, Progress: activities.Progress{Doubt: true}})
		},
		func(activities.InsertInput) error {
			return problem(activities.Trouble{Class: activities.Expired, Name: "LOOK_EXPIRED", Message: "old"})
		},
	}
	w.decide(24*time.Hour, Decision{Verb: Accept})
	began := w.env.Now()
	w.finish(t, wide())
	require.Less(t, w.env.Now().Sub(began), 2*time.Hour)
}

// An insert whose quorum came late is sent again, and acknowledged; then the server is away until the look has expired. The views have the
// rows of that block: whoever was asked to fill them would double those.
func TestWhatWasSentAgainWithSuccessIsNobodysToFill(t *testing.T) {
	late := func(w *world) func(activities.InsertInput) error {
		return func(in activities.InsertInput) error {
			each(in.Ranges.Slice(0, 100), func(o int64) { w.stored[o] = true })
			return problem(activities.Trouble{Class: activities.Outage, Code: 319, Name: "UNKNOWN_STATUS_OF_INSERT", Message: "late", Block: 100, Progress: activities.Progress{Doubt: true}})
		}
	}
	behind := func(class activities.Class, name string) func(activities.InsertInput) error {
		return func(activities.InsertInput) error {
			return problem(activities.Trouble{Class: class, Name: name, Message: "the second block", Block: 100, Progress: activities.Progress{Done: 100, Stored: 100, Doubt: true}})
		}
	}
	for version, want := range map[workflow.Version][]string{1: {"waiting", "stored"}, workflow.DefaultVersion: {"waiting", "blocked", "stored"}} {
		w := newWorld(t)
		w.env.OnGetVersion("wait-for-replicas-20261127", workflow.DefaultVersion, workflow.Version(1)).Return(workflow.Version(1))
		w.env.OnGetVersion("forget-fault-20261127", workflow.DefaultVersion, workflow.Version(1)).Return(version)
		w.insert = []func(activities.InsertInput) error{late(w), behind(activities.Outage, "UNREACHABLE"), behind(activities.Expired, "LOOK_EXPIRED")}
		w.decide(24*time.Hour, Decision{Verb: Accept})
		o := w.finish(t, wide())
		require.EqualValues(t, 200, o.Stored)
		require.Equal(t, want, w.states, "a batch that began under version %d", version)
	}
}
