package activities

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/testsuite"

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
