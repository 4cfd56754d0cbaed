package workflows

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// world is what ClickHouse and Kafka hold, as far as a workflow can tell. The
// activities here keep the books that the real ones would.
type world struct {
	env     *testsuite.TestWorkflowEnvironment
	stored  map[int64]bool
	dead    map[int64]bool
	bad     map[int64]bool // cannot be decoded
	holes   map[int64]bool
	refused map[int64]bool                           // by the server, whenever they are sent
	taken   int                                      // how often it was asked what became of a block
	listed  int                                      // ranges that a look lists at most; 0: any number
	forgets int                                      // inserts that leave out an offset, and do not count it
	start   int64                                    // Kafka's log start
	insert  []func(activities.InsertInput) error     // one per attempt; nil goes through
	route   []func(activities.DeadLetterInput) error // likewise
	settled []time.Time
	sent    [][2]any // turn and offsets of each insert that went through
	states  []string // that the batch said it was in
	noViews bool
	reg     *prometheus.Registry // decisions are counted there
	noted   map[activities.Exception]int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	reg := prometheus.NewRegistry()
	suite.SetMetricsHandler(activities.NewMetrics(reg, []string{"t"}).Decisions(client.MetricsNopHandler))
	w := &world{reg: reg, env: suite.NewTestWorkflowEnvironment(), stored: map[int64]bool{}, dead: map[int64]bool{}, bad: map[int64]bool{}, refused: map[int64]bool{}, holes: map[int64]bool{}, noted: map[activities.Exception]int64{}}
	w.env.RegisterWorkflow(Ingest)
	w.env.OnActivity(act.Look, mock.Anything, mock.Anything).Return(w.look)
	w.env.OnActivity(act.Insert, mock.Anything, mock.Anything).Return(w.insertOnce)
	w.env.OnActivity(act.DeadLetter, mock.Anything, mock.Anything).Return(w.deadLetter)
	w.env.OnActivity(act.Taken, mock.Anything, mock.Anything).Return(w.whatBecame)
	w.env.OnActivity(act.Isolate, mock.Anything, mock.Anything).Return(w.isolate)
	w.env.OnActivity(act.Settle, mock.Anything, mock.Anything).Return(func(context.Context, activities.Job) (int, error) {
		w.settled = append(w.settled, w.env.Now())
		return 0, nil
	})
	w.env.OnActivity(act.Note, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.NoteInput) error {
		w.noted[in.Kind] += in.Ranges.Len()
		return nil
	})
	w.env.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
		a := args.Get(0).(temporal.SearchAttributes)
		if s, ok := a.GetKeyword(AttributeState); ok && (len(w.states) == 0 || w.states[len(w.states)-1] != s) {
			w.states = append(w.states, s)
		}
	}).Return(nil).Maybe()
	return w
}

func each(rs batch.Ranges, f func(int64)) {
	for _, r := range rs {
		for o := r.First; o <= r.Last; o++ {
			f(o)
		}
	}
}

func (w *world) look(_ context.Context, j activities.Job) (activities.Seen, error) {
	s := activities.Seen{Complete: true, Warrant: activities.Warrant{At: w.env.Now(), Run: "default-test-run-id"}}
	each(j.Ranges, func(o int64) {
		switch {
		case w.stored[o]:
			s.Stored++
		case w.dead[o] && !j.Letters:
			s.Dead++
		default:
			s.Absent = append(s.Absent, batch.Range{First: o, Last: o})
		}
	})
	s.Absent = s.Absent.Sort().Sub(j.Skip)
	if w.listed > 0 && len(s.Absent) > w.listed {
		s.Absent, s.Complete = s.Absent[:w.listed], false
	}
	return s, nil
}

func (w *world) insertOnce(_ context.Context, in activities.InsertInput) (activities.Inserted, error) {
	var answer func(activities.InsertInput) error
	if len(w.insert) > 0 {
		answer, w.insert = w.insert[0], w.insert[1:]
	}
	if answer != nil {
		if err := answer(in); err != nil {
			return activities.Inserted{}, err
		}
	}
	out := activities.Inserted{Clean: in.From == (activities.Progress{})}
	for _, r := range in.Ranges {
		if r.First < w.start {
			return out, problem(activities.Trouble{Class: activities.Lost, Name: "KAFKA_RECORDS_LOST", Message: "gone", Gone: &activities.Gone{Start: w.start}})
		}
	}
	refused := false
	each(in.Ranges, func(o int64) { refused = refused || w.refused[o] })
	if refused {
		return out, problem(activities.Trouble{Class: activities.Rejected, Code: 469, Name: "VIOLATED_CONSTRAINT", Message: "no", Block: in.Ranges.Len(), Progress: activities.Progress{Doubt: true}})
	}
	w.store(in, &out)
	w.sent = append(w.sent, [2]any{in.Turn, in.Ranges})
	return out, nil
}

func (w *world) store(in activities.InsertInput, out *activities.Inserted) {
	forgotten := int64(-1)
	if w.forgets > 0 {
		w.forgets--
		forgotten = in.Ranges[0].First
	}
	each(in.Ranges, func(o int64) {
		switch {
		case o == forgotten:
		case w.holes[o]:
			out.Holes++
		case w.bad[o]:
			out.Rejected++
		default:
			out.Stored++
			w.stored[o] = true
		}
	})
}

func (w *world) deadLetter(_ context.Context, in activities.DeadLetterInput) (activities.Routed, error) {
	if len(w.route) > 0 {
		answer := w.route[0]
		w.route = w.route[1:]
		if err := answer(in); err != nil {
			return activities.Routed{}, err
		}
	}
	r := activities.Routed{Clean: true}
	each(append(slices.Clone(in.Ranges), in.Bad...), func(o int64) {
		if !w.holes[o] && (w.bad[o] || w.refused[o] || in.All != nil) {
			w.dead[o] = true
			r.Count++
		}
	})
	return r, nil
}

// whatBecame answers as the real activity does.
func (w *world) whatBecame(ctx context.Context, j activities.Job) (activities.Taken, error) {
	w.taken++
	s, err := w.look(ctx, j)
	if w.noViews {
		return activities.Taken{Stored: s.Stored, Warrant: s.Warrant}, err
	}
	return activities.Taken{Stored: s.Stored, Warrant: s.Warrant, Views: []string{"db.view"}, Fill: "INSERT INTO db.view SELECT"}, err
}

// isolate names two bad rows at most.
func (w *world) isolate(_ context.Context, in activities.IsolateInput) (activities.Isolated, error) {
	out := activities.Isolated{Taken: true}
	var bad, at int64
	each(in.Ranges, func(o int64) {
		at++
		out.Rows++
		if !w.refused[o] {
			return
		}
		out.Taken = false
		if bad++; bad <= 2 {
			out.Bad = append(out.Bad, batch.Range{First: o, Last: o})
			out.Through = at
		}
	})
	if bad <= 2 {
		out.Through = at
	}
	out.Flood = in.Flood > 0 && bad > in.Flood
	return out, nil
}

func problem(t activities.Trouble) error {
	return temporal.NewApplicationErrorWithOptions(t.Message, string(t.Class), temporal.ApplicationErrorOptions{NonRetryable: t.Class != activities.Outage, Details: []any{t}})
}

func outage(doubt bool) func(activities.InsertInput) error {
	return func(activities.InsertInput) error {
		return problem(activities.Trouble{Class: activities.Outage, Name: "UNREACHABLE", Message: "refused", Progress: activities.Progress{Doubt: doubt}})
	}
}

func (w *world) run(t *testing.T) batch.Outcome {
	t.Helper()
	w.env.ExecuteWorkflow(Ingest, batch.Batch{Group: "g", Topic: "t", Nonce: "n", Ranges: batch.Ranges{{First: 0, Last: 9}}, Limits: batch.Limits{BlockRecords: 100, BlockBytes: 1 << 20}})
	require.True(t, w.env.IsWorkflowCompleted())
	require.NoError(t, w.env.GetWorkflowError())
	var o batch.Outcome
	require.NoError(t, w.env.GetWorkflowResult(&o))
	require.True(t, o.Balanced(), "%+v", o)
	for off := range int64(10) {
		places := 0
		for _, in := range []bool{w.stored[off], w.dead[off], w.holes[off], off < w.start && !w.stored[off]} {
			if in {
				places++
			}
		}
		require.Equal(t, 1, places, "offset %d", off)
	}
	return o
}

func TestABatchEndsOnlyWhenEachOffsetIsAccountedFor(t *testing.T) {
	w := newWorld(t)
	w.forgets = 2
	require.EqualValues(t, 10, w.run(t).Stored)
	require.NotContains(t, w.states, string(blocked))

	w = newWorld(t)
	w.forgets = 10
	require.EqualValues(t, 10, w.run(t).Stored)
	require.Contains(t, w.states, string(blocked), "turns that change nothing are told of")
}

func TestAGoodBatchTakesOneTurn(t *testing.T) {
	w := newWorld(t)
	w.holes[3] = true
	o := w.run(t)
	require.Equal(t, batch.Outcome{Offsets: 10, Stored: 9, Holes: 1, Turns: 1}, o)
	require.Empty(t, w.settled)
}

func TestOnlyAbsentOffsetsAreSent(t *testing.T) {
	w := newWorld(t)
	w.stored[0], w.stored[5], w.dead[7] = true, true, true
	w.bad[7] = true
	o := w.run(t)
	require.Equal(t, batch.Outcome{Offsets: 10, Stored: 7, Present: 3, Turns: 1}, o)
	require.Equal(t, batch.Ranges{{First: 1, Last: 4}, {First: 6, Last: 6}, {First: 8, Last: 9}}, w.sent[0][1])
}

func TestUndecodableRecordsAreDeadLettersAfterACleanInsert(t *testing.T) {
	w := newWorld(t)
	w.bad[2], w.bad[4] = true, true
	require.Equal(t, batch.Outcome{Offsets: 10, Stored: 8, DeadLettered: 2, Turns: 1}, w.run(t))
}

func TestAnOutageIsWaitedOutUnderTheSameTurn(t *testing.T) {
	w := newWorld(t)
	for range 200 {
		w.insert = append(w.insert, outage(false))
	}
	w.bad[1] = true
	o := w.run(t)
	require.EqualValues(t, 9, o.Stored)
	require.EqualValues(t, 1, o.DeadLettered)
	require.Equal(t, 0, w.sent[0][0], "the resend is of the first turn")
	require.Empty(t, w.settled, "a turn that ended well leaves nothing in doubt")
}

func TestAnExpiredLookInDoubtSettlesBeforeTheNextTurn(t *testing.T) {
	w := newWorld(t)
	expired := func(activities.InsertInput) error {
		for o := range int64(5) { // the insert that nobody heard of lands late
			w.stored[o] = true
		}
		return problem(activities.Trouble{Class: activities.Expired, Name: "LOOK_EXPIRED", Message: "old"})
	}
	w.insert = []func(activities.InsertInput) error{outage(true), expired}
	o := w.run(t)
	require.Len(t, w.settled, 1)
	require.EqualValues(t, 10, o.Stored)
	require.Equal(t, batch.Ranges{{First: 5, Last: 9}}, w.sent[0][1])
	require.Equal(t, 1, w.sent[0][0])
}

func TestAnExpiredLookWithoutDoubtGoesOnAtOnce(t *testing.T) {
	w := newWorld(t)
	w.insert = []func(activities.InsertInput) error{outage(false), func(activities.InsertInput) error {
		return problem(activities.Trouble{Class: activities.Expired, Name: "LOOK_EXPIRED", Message: "old"})
	}}
	w.run(t)
	require.Empty(t, w.settled)
}

func TestALostWorkerIsInDoubt(t *testing.T) {
	w := newWorld(t)
	w.insert = []func(activities.InsertInput) error{
		func(activities.InsertInput) error { return temporal.NewHeartbeatTimeoutError() },
		func(activities.InsertInput) error {
			return problem(activities.Trouble{Class: activities.Expired, Name: "LOOK_OF_ANOTHER_RUN", Message: "reset"})
		},
	}
	w.run(t)
	require.Len(t, w.settled, 1)
}

func TestWhatKafkaDeletedIsLostAndNoted(t *testing.T) {
	w := newWorld(t)
	w.start = 4
	w.stored[1] = true
	o := w.run(t)
	require.EqualValues(t, 3, o.Lost)
	require.EqualValues(t, 1, o.Present)
	require.EqualValues(t, 6, o.Stored)
	require.EqualValues(t, 3, w.noted[activities.ExceptionLost])
}

func TestDecodersThatDisagreeRouteNothing(t *testing.T) {
	w := newWorld(t)
	w.bad[2] = true
	w.route = []func(activities.DeadLetterInput) error{func(activities.DeadLetterInput) error {
		w.bad = map[int64]bool{} // the other worker can decode it
		return problem(activities.Trouble{Class: activities.Disagree, Name: "DECODERS_DISAGREE", Message: "0"})
	}}
	o := w.run(t)
	require.EqualValues(t, 10, o.Stored)
	require.Zero(t, o.DeadLettered)
}

func TestABlockedBatchGoesOnByItself(t *testing.T) {
	w := newWorld(t)
	began := w.env.Now()
	blockedFor := 5
	for range blockedFor {
		w.insert = append(w.insert, func(activities.InsertInput) error {
			return problem(activities.Trouble{Class: activities.Blocked, Code: 60, Name: "UNKNOWN_TABLE", Message: "no logs"})
		})
	}
	o := w.run(t)
	require.EqualValues(t, 10, o.Stored)
	require.GreaterOrEqual(t, w.env.Now().Sub(began), time.Duration(blockedFor)*blockedEvery)
}

// A transactional producer that writes one record a transaction: every second offset is a commit marker.
func TestHolesBeyondWhatALookListsHoldNothingUp(t *testing.T) {
	w := newWorld(t)
	w.listed = 2
	const last = 11
	in := batch.Batch{Group: "g", Topic: "t", Nonce: "n", Ranges: batch.Ranges{{First: 0, Last: last}}, Limits: batch.Limits{BlockRecords: 100, BlockBytes: 1 << 20}}
	for o := int64(1); o <= last; o += 2 {
		w.holes[o] = true
	}
	w.bad[10] = true
	w.insert = []func(activities.InsertInput) error{func(in activities.InsertInput) error {
		for o := int64(0); o < 8; o += 2 { // the worker died when it had stored some
			w.stored[o] = true
		}
		return problem(activities.Trouble{Class: activities.Outage, Name: "X", Message: "x", Progress: activities.Progress{Doubt: true}})
	}}
	w.env.ExecuteWorkflow(Ingest, in)
	require.True(t, w.env.IsWorkflowCompleted())
	require.NoError(t, w.env.GetWorkflowError())
	var o batch.Outcome
	require.NoError(t, w.env.GetWorkflowResult(&o))
	require.EqualValues(t, 6, o.Holes)
	require.EqualValues(t, 5, o.Stored)
	require.EqualValues(t, 1, o.DeadLettered)
	require.Equal(t, map[int64]bool{0: true, 2: true, 4: true, 6: true, 8: true}, w.stored)
	require.Equal(t, map[int64]bool{10: true}, w.dead)
}

func TestWhatWasLostBeforeTheLastLookIsNoted(t *testing.T) {
	w := newWorld(t)
	w.listed, w.start = 1, 3
	for o := int64(1); o <= 9; o += 2 {
		w.stored[o] = true
	}
	w.env.ExecuteWorkflow(Ingest, batch.Batch{Group: "g", Topic: "t", Nonce: "n", Ranges: batch.Ranges{{First: 0, Last: 9}}, Limits: batch.Limits{BlockRecords: 100, BlockBytes: 1 << 20}})
	require.NoError(t, w.env.GetWorkflowError())
	var o batch.Outcome
	require.NoError(t, w.env.GetWorkflowResult(&o))
	require.EqualValues(t, 2, o.Lost) // 0 and 2
	require.EqualValues(t, 2, w.noted[activities.ExceptionLost])
	require.EqualValues(t, 3, o.Stored)
	require.EqualValues(t, 5, o.Present)
}

func TestWhatATruncationTookIsLostAndTheRestIsStored(t *testing.T) {
	w := newWorld(t)
	w.stored[8] = true // by an attempt before it
	w.insert = []func(activities.InsertInput) error{func(activities.InsertInput) error {
		return problem(activities.Trouble{Class: activities.Lost, Name: "KAFKA_TRUNCATED", Message: "torn", Gone: &activities.Gone{Truncated: true, From: 6}})
	}}
	w.env.ExecuteWorkflow(Ingest, batch.Batch{Group: "g", Topic: "t", Nonce: "n", Ranges: batch.Ranges{{First: 0, Last: 9}}, Limits: batch.Limits{BlockRecords: 100, BlockBytes: 1 << 20}})
	require.NoError(t, w.env.GetWorkflowError())
	var o batch.Outcome
	require.NoError(t, w.env.GetWorkflowResult(&o))
	require.True(t, o.Balanced())
	require.EqualValues(t, 3, o.Lost) // 6, 7 and 9
	require.EqualValues(t, 3, w.noted[activities.ExceptionLost])
	require.EqualValues(t, 6, o.Stored)
	require.EqualValues(t, 1, o.Present)
}

func TestATopicCountsAsDeletedOnlyWhenKafkaKeepsSayingSo(t *testing.T) {
	gone := func(activities.InsertInput) error {
		return problem(activities.Trouble{Class: activities.Lost, Name: "KAFKA_TOPIC_DELETED", Message: "gone", Gone: &activities.Gone{Partition: -1}})
	}
	in := batch.Batch{Group: "g", Topic: "t", Nonce: "n", Ranges: batch.Ranges{{First: 0, Last: 9}}, Limits: batch.Limits{BlockRecords: 100, BlockBytes: 1 << 20}}
	for name, c := range map[string]struct {
		says         int
		lost, stored int64
	}{"one broker was behind": {deletedTurns - 1, 0, 10}, "it was deleted": {deletedTurns, 10, 0}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for range c.says {
				w.insert = append(w.insert, gone)
			}
			began := w.env.Now()
			w.env.ExecuteWorkflow(Ingest, in)
			require.NoError(t, w.env.GetWorkflowError())
			var o batch.Outcome
			require.NoError(t, w.env.GetWorkflowResult(&o))
			require.Equal(t, c.lost, o.Lost)
			require.Equal(t, c.stored, o.Stored)
			require.GreaterOrEqual(t, w.env.Now().Sub(began), (deletedTurns-1)*blockedEvery)
		})
	}
}

func TestABatchThatWasStartedAgainWaitsOutWhatItsLastRunSent(t *testing.T) {
	w := newWorld(t)
	w.env.ExecuteWorkflow(Ingest, batch.Batch{Group: "g", Topic: "t", Nonce: "n", Ranges: batch.Ranges{{First: 0, Last: 9}}, Limits: batch.Limits{BlockRecords: 100, BlockBytes: 1 << 20}, Again: true})
	require.NoError(t, w.env.GetWorkflowError())
	require.Len(t, w.settled, 1)
	require.GreaterOrEqual(t, w.env.Now().Sub(w.settled[0]), activities.Quiet)
	require.Len(t, w.stored, 10)
}

func TestWhatARedriveStoredMeanwhileWasPresent(t *testing.T) {
	w := newWorld(t)
	w.dead[7], w.dead[8] = true, true
	w.insert = []func(activities.InsertInput) error{outage(true), func(activities.InsertInput) error {
		for _, o := range []int64{7, 8} {
			delete(w.dead, o)
			w.stored[o] = true
		}
		return problem(activities.Trouble{Class: activities.Expired, Name: "LOOK_EXPIRED", Message: "old"})
	}}
	o := w.run(t)
	require.EqualValues(t, 2, o.Present)
	require.EqualValues(t, 8, o.Stored)
	require.Zero(t, o.DeadLettered)
}
