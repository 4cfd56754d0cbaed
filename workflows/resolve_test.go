package workflows

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// wide is a batch that the flood guard watches.
func wide() batch.Batch {
	return batch.Batch{Group: "g", Topic: "t", Nonce: "n", Ranges: batch.Ranges{{First: 0, Last: 199}}, Limits: batch.Limits{BlockRecords: 1000, BlockBytes: 1 << 20}}
}

// finish runs the batch and requires that every offset is in one place, but for
// those that were skipped.
func (w *world) finish(t *testing.T, in batch.Batch) batch.Outcome {
	t.Helper()
	w.env.ExecuteWorkflow(Ingest, in)
	require.True(t, w.env.IsWorkflowCompleted())
	require.NoError(t, w.env.GetWorkflowError())
	var o batch.Outcome
	require.NoError(t, w.env.GetWorkflowResult(&o))
	require.True(t, o.Balanced(), "%+v", o)
	nowhere := int64(0)
	each(in.Ranges, func(off int64) {
		require.False(t, w.stored[off] && w.dead[off], "offset %d is stored and dead", off)
		if !w.stored[off] && !w.dead[off] && !w.holes[off] {
			nowhere++
		}
	})
	require.Equal(t, o.Skipped, nowhere)
	require.Equal(t, o.Skipped, w.noted[activities.ExceptionSkipped])
	return o
}

// answers is what an update was told.
type answers struct {
	accepted, rejected []string
}

func (a *answers) Accept()          {}
func (a *answers) Reject(err error) { a.rejected = append(a.rejected, err.Error()) }
func (a *answers) Complete(result any, err error) {
	a.accepted = append(a.accepted, fmt.Sprint(result, err))
}

// decide sends an update after a while.
func (w *world) decide(after time.Duration, d Decision) *answers {
	a := &answers{}
	w.env.RegisterDelayedCallback(func() { w.env.UpdateWorkflow(ResolveName, "", a, d) }, after)
	return a
}

// counted is how many decisions the worker has counted. It knows the same verbs.
func (w *world) counted(t *testing.T) map[Verb]int {
	t.Helper()
	out, known := map[Verb]int{}, 0
	families, err := w.reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != "ingest_decisions_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			require.Equal(t, "decision", m.GetLabel()[0].GetName())
			verb := Verb(m.GetLabel()[0].GetValue())
			require.Contains(t, Verbs(), verb)
			known++
			if n := int(m.GetCounter().GetValue()); n > 0 {
				out[verb] = n
			}
		}
	}
	require.Len(t, Verbs(), known)
	return out
}

func answered(code int, class activities.Class, name string) error {
	return problem(activities.Trouble{Class: class, Code: code, Name: name, Message: "said the server", Block: 200, Progress: activities.Progress{Doubt: true}})
}

func TestRefusedRowsAreDeadLettersAndTheOthersAreStored(t *testing.T) {
	for name, bad := range map[string][]int64{"one": {57}, "two": {0, 199}, "more than a search names": {1, 2, 3, 50, 51, 198, 199}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, o := range bad {
				w.refused[o] = true
			}
			w.bad[100], w.holes[101] = true, true
			o := w.finish(t, wide())
			require.EqualValues(t, 1+len(bad), o.DeadLettered)
			require.EqualValues(t, 198-len(bad), o.Stored)
			require.EqualValues(t, 1, o.Holes)
			require.Equal(t, []string{"isolating", "stored"}, w.states)
			if len(bad) <= 2 {
				require.Len(t, w.sent, 2, "the good rows went in with one insert; then the hole was looked at")
			}
		})
	}
}

func TestARefusalIsNotBelievedWhileSomethingMayStillLand(t *testing.T) {
	w := newWorld(t)
	w.refused[7] = true
	silent := func(activities.InsertInput) error {
		return problem(activities.Trouble{Class: activities.Outage, Name: "UNREACHABLE", Message: "no answer", Block: 200, Progress: activities.Progress{Doubt: true, Silent: true}})
	}
	refusal := func(activities.InsertInput) error {
		return problem(activities.Trouble{Class: activities.Rejected, Code: 469, Name: "VIOLATED_CONSTRAINT", Message: "no", Block: 200, Progress: activities.Progress{Doubt: true, Silent: true}})
	}
	w.insert = []func(activities.InsertInput) error{silent, refusal}
	o := w.finish(t, wide())
	require.Len(t, w.settled, 1)
	require.EqualValues(t, 1, o.DeadLettered)
}

func TestAViewAtFaultIsMendedBySendingTheSameRowsAgain(t *testing.T) {
	for _, class := range []activities.Class{activities.Outage, activities.Rejected, activities.Blocked} {
		t.Run(string(class), func(t *testing.T) {
			w := newWorld(t)
			throws := func(in activities.InsertInput) error {
				each(in.Ranges, func(o int64) { w.stored[o] = true }) // the table took them, then the view threw
				return answered(395, class, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO")
			}
			var resent []activities.InsertInput
			mended := func(in activities.InsertInput) error { resent = append(resent, in); return nil }
			w.insert = []func(activities.InsertInput) error{throws, throws, mended}
			o := w.finish(t, wide())
			require.EqualValues(t, 200, o.Stored)
			require.Zero(t, o.DeadLettered)
			require.Equal(t, []string{"blocked", "stored"}, w.states)
			require.Len(t, resent, 1)
			require.Zero(t, resent[0].Turn, "the token is that of the first turn")
			require.EqualValues(t, 200, resent[0].Ranges.Len())
		})
	}
}

func TestAViewWhoseRowsCannotBeSentAgainWaitsForAccept(t *testing.T) {
	w := newWorld(t)
	w.insert = []func(activities.InsertInput) error{
		func(in activities.InsertInput) error {
			each(in.Ranges, func(o int64) { w.stored[o] = true })
			return answered(395, activities.Outage, "THROW_IF")
		},
		func(activities.InsertInput) error {
			return problem(activities.Trouble{Class: activities.Expired, Name: "LOOK_EXPIRED", Message: "old"})
		},
	}
	refused := w.decide(24*time.Hour, Decision{Verb: Skip, Reason: "gone"})
	taken := w.decide(25*time.Hour, Decision{Verb: Accept, By: "anna"})
	began := w.env.Now()
	o := w.finish(t, wide())
	require.Greater(t, w.env.Now().Sub(began), 24*time.Hour)
	require.Contains(t, refused.rejected[0], "choose accept")
	require.Len(t, taken.accepted, 1)
	require.Equal(t, []string{"accept by anna"}, o.Decisions)
	require.Equal(t, map[Verb]int{Accept: 1}, w.counted(t), "what was refused is no decision")
	require.EqualValues(t, 200, o.Stored)
}

func TestMoreThanHalfBadIsHeldUntilSomebodyDecides(t *testing.T) {
	type world2 = func(w *world, o int64)
	for kind, spoil := range map[string]world2{
		"undecodable": func(w *world, o int64) { w.bad[o] = true },
		"refused":     func(w *world, o int64) { w.refused[o] = true },
	} {
		for name, c := range map[string]struct {
			d                     Decision
			mend                  bool
			stored, dead, skipped int64
		}{
			"approve":         {Decision{Verb: Approve}, false, 80, 120, 0},
			"retry, mended":   {Decision{Verb: Retry}, true, 200, 0, 0},
			"dead letter":     {Decision{Verb: DeadLetter}, false, 80, 120, 0},
			"dead letter all": {Decision{Verb: DeadLetter, All: true}, false, 80, 120, 0},
			"skip":            {Decision{Verb: Skip, Reason: "a bad deploy"}, false, 80, 0, 120},
		} {
			t.Run(kind+": "+name, func(t *testing.T) {
				w := newWorld(t)
				for o := range int64(120) {
					spoil(w, o)
				}
				w.env.RegisterDelayedCallback(func() {
					require.Empty(t, w.dead, "nothing is routed before somebody has decided")
					if c.mend {
						w.bad, w.refused = map[int64]bool{}, map[int64]bool{}
					}
				}, 59*time.Minute)
				w.decide(time.Hour, c.d)
				o := w.finish(t, wide())
				if kind == "refused" && (c.d.Verb == Skip || c.d.All) { // nothing of the block had gone in
					c.stored, c.dead, c.skipped = 0, (c.dead+79)/80*100, (c.skipped+79)/80*100
				}
				require.Equal(t, []int64{c.stored, c.dead, c.skipped}, []int64{o.Stored, o.DeadLettered, o.Skipped})
				require.Contains(t, w.states, "held")
				require.Equal(t, "stored", w.states[len(w.states)-1])
				require.Len(t, o.Decisions, 1)
				require.Equal(t, map[Verb]int{c.d.Verb: 1}, w.counted(t))
			})
		}
	}
}

func TestHalfBadIsNotHeld(t *testing.T) {
	w := newWorld(t)
	for o := range int64(100) {
		w.bad[o] = true
	}
	require.EqualValues(t, 100, w.finish(t, wide()).DeadLettered)
}

func TestDecisionsOnAWaitingBatchTouchOnlyWhatIsAbsentThen(t *testing.T) {
	for name, d := range map[string]Decision{"skip": {Verb: Skip, Reason: "gone"}, "dead letter": {Verb: DeadLetter, All: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var done bool
			for range 400 {
				w.insert = append(w.insert, func(in activities.InsertInput) error {
					if w.settled == nil && !done { // the one in flight lands after the decision, before the quiet time is over
						done = true
						w.env.RegisterDelayedCallback(func() {
							for o := range int64(50) {
								w.stored[o] = true
							}
						}, 40*time.Minute)
					}
					return problem(activities.Trouble{Class: activities.Outage, Name: "UNREACHABLE", Message: "frozen", Progress: activities.Progress{Doubt: true, Silent: true}})
				})
			}
			w.decide(39*time.Minute+30*time.Second, d)
			again := w.decide(39*time.Minute+31*time.Second, d)
			began := w.env.Now()
			o := w.finish(t, wide())
			require.EqualValues(t, 50, o.Stored)
			require.EqualValues(t, 150, o.Skipped+o.DeadLettered)
			require.Less(t, w.env.Now().Sub(began), 39*time.Minute+30*time.Second+activities.Quiet+30*time.Second, "the round is not waited for")
			require.NotEmpty(t, w.settled)
			require.Contains(t, again.rejected[0], "choose retry to take it back")
		})
	}
}

// The table comes back before the skip that was decided without it has begun.
func TestADecisionThatHasNotBegunCanBeTakenBack(t *testing.T) {
	w := newWorld(t)
	blocked := func(activities.InsertInput) error {
		return problem(activities.Trouble{Class: activities.Blocked, Code: 60, Name: "UNKNOWN_TABLE", Message: "no logs"})
	}
	w.insert = []func(activities.InsertInput) error{blocked, blocked}
	w.decide(10*time.Second, Decision{Verb: Skip, Reason: "in despair"})
	back := w.decide(20*time.Second, Decision{Verb: Retry})
	o := w.finish(t, wide())
	require.EqualValues(t, 200, o.Stored)
	require.Equal(t, []string{"taken back: skip: in despair"}, o.Decisions)
	require.Equal(t, []string{"skip is taken back<nil>"}, back.accepted)
}

func TestABlockedBatchGoesOnAtOnceWhenTold(t *testing.T) {
	w := newWorld(t)
	blocked := func(activities.InsertInput) error {
		return problem(activities.Trouble{Class: activities.Blocked, Code: 60, Name: "UNKNOWN_TABLE", Message: "no logs"})
	}
	w.insert = []func(activities.InsertInput) error{blocked, blocked}
	w.decide(10*time.Second, Decision{Verb: Retry})
	w.decide(20*time.Second, Decision{Verb: Retry})
	began := w.env.Now()
	o := w.finish(t, wide())
	require.Less(t, w.env.Now().Sub(began), 30*time.Second)
	require.Equal(t, []string{"retry", "retry"}, o.Decisions)
}

func TestDecisionsThatMakeNoSenseAreRefusedWithASentence(t *testing.T) {
	i := &ingest{}
	for name, c := range map[string]struct {
		state state
		view  *viewFault
		d     Decision
		want  string
	}{
		"on the good path":        {"", nil, Decision{Verb: Retry}, "waits for nobody"},
		"while it searches":       {isolating, nil, Decision{Verb: Skip, Reason: "x"}, "wait for its end"},
		"skip without a reason":   {blocked, nil, Decision{Verb: Skip, Reason: " "}, "give the reason"},
		"retry while it waits":    {waiting, nil, Decision{Verb: Retry}, "choose skip, dead_letter"},
		"approve what is blocked": {blocked, nil, Decision{Verb: Approve}, "choose retry, dead_letter, skip"},
		"skip with a view":        {blocked, &viewFault{}, Decision{Verb: DeadLetter}, "choose retry, accept"},
		"retry an expired view":   {blocked, &viewFault{expired: true}, Decision{Verb: Retry}, "choose accept"},
		"accept what is held":     {held, nil, Decision{Verb: Accept}, "choose approve, retry, dead_letter, skip"},
		"unknown":                 {held, nil, Decision{Verb: "burn"}, "choose approve"},
	} {
		t.Run(name, func(t *testing.T) {
			i.state, i.view, i.stuck = c.state, c.view, c.state != "" && c.state != isolating
			require.ErrorContains(t, i.refuse(c.d), c.want)
		})
	}
}

func TestASignalDecidesToo(t *testing.T) {
	w := newWorld(t)
	for o := range int64(150) {
		w.bad[o] = true
	}
	w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(ResolveName, Decision{Verb: Accept}) }, time.Minute)
	w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(ResolveName, Decision{Verb: Approve}) }, time.Hour)
	o := w.finish(t, wide())
	require.EqualValues(t, 150, o.DeadLettered)
	require.Equal(t, []string{"approve"}, o.Decisions)
}

func TestWhatTheCloneTakesAndTheTableRefusesIsBlocked(t *testing.T) {
	w := newWorld(t)
	w.insert = []func(activities.InsertInput) error{func(activities.InsertInput) error { return answered(70, activities.Rejected, "CANNOT_CONVERT_TYPE") }}
	o := w.finish(t, wide())
	require.EqualValues(t, 200, o.Stored)
	require.Contains(t, w.states, "blocked")
}

func TestNoErrorEndsABatch(t *testing.T) {
	w := newWorld(t)
	for _, err := range []error{errors.New("of no class"), problem(activities.Trouble{Class: "of a newer worker", Name: "X", Message: "x"})} {
		w.insert = append(w.insert, func(activities.InsertInput) error { return err })
	}
	require.EqualValues(t, 200, w.finish(t, wide()).Stored)
}

// On replicas an INSERT whose quorum is not reached in time is answered with UNKNOWN_STATUS_OF_INSERT, and the replica that was asked
// has the rows: no view threw. The next tries are answered with TOO_FEW_LIVE_REPLICAS. That is an outage, and nobody's to decide.
func TestAQuorumThatIsNotReachedIsNoFaultOfAView(t *testing.T) {
	w := newWorld(t)
	late := func(in activities.InsertInput) error {
		each(in.Ranges, func(o int64) { w.stored[o] = true })
		return answered(319, activities.Outage, "UNKNOWN_STATUS_OF_INSERT")
	}
	few := func(activities.InsertInput) error { return answered(285, activities.Outage, "TOO_FEW_LIVE_REPLICAS") }
	w.insert = []func(activities.InsertInput) error{late, few, few, nil}
	o := w.finish(t, wide())
	require.EqualValues(t, 200, o.Stored)
	require.Equal(t, []string{"waiting", "stored"}, w.states)

	w = newWorld(t)
	w.insert = []func(activities.InsertInput) error{late, few, func(activities.InsertInput) error {
		return problem(activities.Trouble{Class: activities.Expired, Name: "LOOK_EXPIRED", Message: "old"})
	}}
	w.decide(24*time.Hour, Decision{Verb: Accept})
	o = w.finish(t, wide())
	require.EqualValues(t, 200, o.Stored)
	require.Equal(t, []string{"waiting", "blocked", "stored"}, w.states, "nobody knows whether the views have their rows")
	require.Equal(t, []string{"accept"}, o.Decisions)
}
