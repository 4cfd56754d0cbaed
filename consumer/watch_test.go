package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/planlog"
)

// execution is one workflow whose long poll never answers by itself: the
// dropped notification that the hedge is for.
type execution struct {
	mu     sync.Mutex
	status enumspb.WorkflowExecutionStatus
	err    error
	asked  int
	takes  time.Duration // of a description
	wake   chan struct{}
}

func (e *execution) set(s enumspb.WorkflowExecutionStatus, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.err = s, err
}

func (e *execution) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	<-time.After(e.takes)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Status: e.status, Execution: &commonpb.WorkflowExecution{RunId: "run"},
	}}, e.err
}

func (e *execution) GetWorkflow(_ context.Context, _, run string) client.WorkflowRun {
	return runOf{e: e, run: run}
}

type runOf struct {
	client.WorkflowRun
	e   *execution
	run string
}

func (r runOf) Get(ctx context.Context, into any) error {
	if r.run == "" { // the long poll
		select {
		case <-ctx.Done():
		case <-r.e.wake:
		}
		return ctx.Err()
	}
	*into.(*batch.Outcome) = batch.Outcome{Stored: 7}
	return nil
}

// watching is one batch and a poll of it; the watch ends with the test.
func watching(t *testing.T) (*execution, func() (planlog.Status, batch.Outcome, error)) {
	t.Helper()
	e := &execution{status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, wake: make(chan struct{})}
	w := newWatches(t.Context(), e)
	return e, func() (planlog.Status, batch.Outcome, error) { return w.poll(t.Context(), "id") }
}

// pass lets the fake clock run.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestADroppedNotificationCostsNoMoreThanTheHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, poll := watching(t)
		s, _, err := poll()
		require.NoError(t, err)
		require.Equal(t, planlog.Running, s)
		pass(50 * time.Second)
		require.LessOrEqual(t, e.asked, 28, "it backs off to one every two seconds")
		e.set(enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, nil)
		pass(hedgeMost)
		s, o, err := poll()
		require.NoError(t, err)
		require.Equal(t, planlog.Completed, s)
		require.EqualValues(t, 7, o.Stored)
	})
}

func TestTheLongPollAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, poll := watching(t)
		_, _, _ = poll()
		pass(10 * time.Second)
		e.set(enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, nil)
		close(e.wake)
		synctest.Wait()
		s, _, err := poll()
		require.NoError(t, err)
		require.Equal(t, planlog.Completed, s)
	})
}

func TestAFailedBatchIsWatchedOnSinceItMayBeReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, poll := watching(t)
		_, _, _ = poll()
		e.set(enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, nil)
		pass(hedgeFirst)
		s, _, err := poll()
		require.NoError(t, err)
		require.Equal(t, planlog.Failed, s)
		e.set(enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, nil)
		pass(hedgeMost)
		s, _, err = poll()
		require.NoError(t, err)
		require.Equal(t, planlog.Running, s)
	})
}

func TestNotFoundIsNeverOldKnowledge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, poll := watching(t)
		_, _, _ = poll()
		e.set(0, serviceerror.NewNotFound("gone"))
		pass(hedgeFirst)
		_, _, err := poll()
		require.ErrorIs(t, err, planlog.ErrNotFound)

		_, _, err = poll() // answered once: a new watch
		require.NoError(t, err)
		pass(hedgeFirst)
		e.set(enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, nil) // it is back
		pass(fresh + time.Second)                             // and nobody asked meanwhile
		s, _, err := poll()
		require.NoError(t, err)
		require.Equal(t, planlog.Running, s)
	})
}

func TestAnUnknownThatWasAnsweredSlowlyIsHeardOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, poll := watching(t)
		e.takes = fresh + time.Second
		e.set(0, serviceerror.NewNotFound("gone"))
		for range 20 {
			if _, _, err := poll(); err != nil {
				require.ErrorIs(t, err, planlog.ErrNotFound)
				return
			}
			pass(tickEvery)
		}
		t.Fatal("asked again and again, and never told")
	})
}

func TestTemporalAwayIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, poll := watching(t)
		_, _, _ = poll()
		for _, err := range []error{serviceerror.NewUnavailable("away"), serviceerror.NewInternal("broken"), errors.New("reset by peer"), context.DeadlineExceeded} {
			e.set(0, err)
			pass(hedgeMost)
			s, _, err := poll()
			require.NoError(t, err)
			require.Equal(t, planlog.Running, s)
		}
	})
}
