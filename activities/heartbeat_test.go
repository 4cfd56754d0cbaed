package activities

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/testsuite"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/record"
)

// beats is where heartbeats go: the function answers each.
type beats func(Progress) error

func (f beats) RecordActivityHeartbeat(_ context.Context, _ []byte, details ...any) error {
	return f(details[0].(Progress))
}

var errGone = serviceerror.NewNotFound("activity was given to another worker")

func TestAnAttemptThatTemporalHasGivenUpBeginsNoInsert(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	j := b.job(299)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	b.Temporal = beats(func(Progress) error { return errGone })
	_, err := run[Inserted](b, b.Insert, in)
	require.Error(t, err)
	b.exact(0)
}

func TestAnAttemptThatInheritsDoubtNeedsAnAcceptedHeartbeatOfItsOwn(t *testing.T) {
	b := setup(t)
	b.produce(100, 2)
	j := b.job(99)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	given := b.Temporal
	b.Temporal = beats(func(Progress) error { return errGone })
	_, err := run[Inserted](b, b.Insert, in, Progress{Doubt: true, Silent: true})
	require.Error(t, err)
	from := in
	from.From = Progress{Doubt: true, Silent: true, Resent: true}
	_, err = run[Inserted](b, b.Insert, from)
	require.Error(t, err)
	b.exact(0)

	b.Temporal = given
	_, out := b.insert(j)
	b.Temporal = beats(func(Progress) error { return errGone })
	_, err = run[Routed](b, b.DeadLetter, letter(in, out), Progress{Doubt: true})
	require.Error(t, err)
	require.Zero(t, b.count("SELECT count() FROM dead_letters"))
}

// The server dies in the middle of a block over two months and leaves the first
// one. The next attempt waits on a suspended machine. An operator terminates the
// workflow; it is started again, settles, looks, and stores what is absent. Then
// the machine wakes up.
func TestALateAttemptOfATerminatedRunDoublesNothing(t *testing.T) {
	b := setup(t)
	line := func(o int) []byte {
		return fmt.Appendf(nil, `{"timestamp":"2026-%02d-02T03:04:05Z","level":"INFO","message":"record %d"}`, 1+o/50, o)
	}
	for o := range 200 {
		b.send(&kgo.Record{Topic: topic, Value: line(o)})
	}
	require.NoError(t, b.cl.Flush(b.ctx))
	j := b.job(0)
	j.Ranges = batch.Ranges{{Last: 199}} // blocks of 100
	late := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	half := record.NewBlock(record.Log)
	for o := range 50 {
		require.NoError(t, half.Append(line(o), record.Coordinates{Topic: topic, TopicID: b.id, Offset: int64(o)}))
	}
	require.NoError(t, b.Inserter.Insert(b.ctx, "logs", half.Input(), j.token(batch.Ranges{{Last: 99}})))
	_, out := b.insert(j)
	require.EqualValues(t, 150, out.Stored)

	b.Temporal = beats(func(Progress) error { return errGone })
	_, err := run[Inserted](b, b.Insert, late, Progress{Doubt: true, Silent: true})
	require.Error(t, err)
	b.exact(200)
}

func TestAWorkerThatDoesNotKnowTheTopicKeepsTheDoubtOfThoseBeforeIt(t *testing.T) {
	b := &bench{t: t, Activities: &Activities{Kinds: map[string]record.Kind{}}}
	_, err := run[Inserted](b, b.Insert, InsertInput{Job: Job{Topic: "t"}}, Progress{Done: 100, Stored: 100, Doubt: true})
	require.Equal(t, Progress{Done: 100, Stored: 100, Doubt: true}, TroubleOf(err).Progress)
	_, err = run[Routed](b, b.DeadLetter, DeadLetterInput{Job: Job{Topic: "t"}}, Progress{Doubt: true})
	require.True(t, TroubleOf(err).Progress.Doubt)
}

func TestDoubtStaysWhereNothingWasAcknowledgedUnderItsToken(t *testing.T) {
	b := setup(t)
	b.produce(100, 1) // this worker can decode none; another version had sent them, outcome unknown
	j := b.job(99)
	out, err := run[Inserted](b, b.Insert, InsertInput{Job: j, Warrant: b.look(j).Warrant}, Progress{Doubt: true})
	require.NoError(t, err)
	require.True(t, out.Doubt)
}

func TestNoInsertBeginsOnceNoHeartbeatWasAcceptedForTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var silent atomic.Bool
		a := &Activities{Temporal: beats(func(Progress) error {
			if silent.Load() {
				return errors.New("no answer")
			}
			return nil
		})}
		ours := func(ctx context.Context) error {
			_, p := a.pulse(ctx, Progress{})
			defer p.stop()
			time.Sleep(time.Minute + beatEvery/2) //nolint:forbidigo // the bubble's clock
			require.True(t, p.ours(), "each heartbeat was accepted")
			silent.Store(true)                                            // the last one was accepted half a beat ago
			time.Sleep(HeartbeatTimeout - beatEvery/2 - time.Millisecond) //nolint:forbidigo // the bubble's clock
			require.True(t, p.ours())
			time.Sleep(time.Millisecond) //nolint:forbidigo // the bubble's clock
			require.False(t, p.ours())
			silent.Store(false)
			time.Sleep(2 * beatEvery) //nolint:forbidigo // the bubble's clock
			require.True(t, p.ours(), "Temporal still knows the attempt")
			return nil
		}
		var s testsuite.WorkflowTestSuite
		env := s.NewTestActivityEnvironment()
		env.RegisterActivity(ours)
		_, err := env.ExecuteActivity(ours)
		require.NoError(t, err)
	})
}

func TestNoBlockBeginsAfterTheLookHasExpired(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	alive := &pulse{beat: func(context.Context, Progress) error { return nil }, accepted: time.Now()}
	w := &writer{a: b.Activities, in: InsertInput{Job: b.job(299), Warrant: Warrant{At: time.Now(), Run: "r"}}, run: "r", kind: record.Log, block: record.NewBlock(record.Log), pulse: alive}
	b.onFetch(1, func() { w.in.Warrant.At = time.Now().Add(-LookValid - time.Second) }) // between two blocks
	trouble := troubleOf(w.all(b.ctx))
	require.Equal(t, Expired, trouble.Class)
	require.Equal(t, "LOOK_EXPIRED", trouble.Name)
	require.EqualValues(t, 300, w.p.Done)
	b.exact(294)
}
