package activities

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
)

// stopAt runs an activity on a worker that cuts what it still does when cut is closed.
func stopAt(t *testing.T, cut <-chan struct{}, act func(context.Context) error) error {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	env := s.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{Stoppable(cut)}})
	env.RegisterActivity(act)
	_, err := env.ExecuteActivity(act)
	return err
}

func TestAnActivityThatIsCutHandsOverWhatItKnows(t *testing.T) {
	doubt := Progress{Done: 200, Stored: 196, Rejected: 4, Doubt: true, Silent: true}
	cut := make(chan struct{})
	err := stopAt(t, cut, func(ctx context.Context) error {
		close(cut)
		<-ctx.Done()
		return failIn(ctx, Trouble{Class: Outage, Name: "UNREACHABLE", Message: ctx.Err().Error(), Progress: doubt, Block: 100})
	})
	trouble := TroubleOf(err)
	require.Equal(t, Outage, trouble.Class)
	require.Equal(t, "WORKER_STOPPED", trouble.Name)
	require.Equal(t, doubt, trouble.Progress)
	require.EqualValues(t, 100, trouble.Block)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.False(t, app.NonRetryable())
	require.Equal(t, handOver, app.NextRetryDelay(), "another worker does not wait out a backoff")
}

func TestAnActivityThatTellsNothingWhenItIsCutIsInDoubt(t *testing.T) {
	cut := make(chan struct{})
	err := stopAt(t, cut, func(ctx context.Context) error {
		close(cut)
		<-ctx.Done()
		return ctx.Err()
	})
	require.Equal(t, "WORKER_STOPPED", TroubleOf(err).Name)
	require.Equal(t, unknown, TroubleOf(err).Progress)
}

func TestACutTakesNothingFromAnActivityThatEndsByItself(t *testing.T) {
	cut := make(chan struct{})
	close(cut)
	require.NoError(t, stopAt(t, cut, func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}))
	err := stopAt(t, cut, func(ctx context.Context) error {
		<-ctx.Done()
		return failIn(ctx, Trouble{Class: Lost, Name: "KAFKA_RECORDS_LOST", Gone: &Gone{Start: 40}})
	})
	require.Equal(t, &Gone{Start: 40}, TroubleOf(err).Gone, "what it found out is so on every worker")
	err = stopAt(t, make(chan struct{}), func(context.Context) error { return errors.New("by itself") })
	require.Equal(t, "ACTIVITY_FAILED", TroubleOf(err).Name)
}
