package main

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/frontend"
	"github.com/ai-backlog/ingest/frontend/frontendtest"
	"github.com/ai-backlog/ingest/planlog"
	"github.com/ai-backlog/ingest/workflows"
)

// stand is the consumer's side of a real Temporal, with a topic, a task queue and a worker of this test alone.
type stand struct {
	*batches
	t     *testing.T
	topic string
	id    batch.TopicID
	out   *lines
}

func newStand(t *testing.T) *stand {
	t.Helper()
	frontendtest.Needed(t)
	o, err := frontend.Options()
	require.NoError(t, err)
	o.Logger = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.DialContext(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	s := &stand{t: t, topic: "t-" + uuid.NewString(), id: batch.TopicID(uuid.New()), out: &lines{}}
	s.batches = &batches{c: c, namespace: namespace(o), watches: newWatches(t.Context(), c), tracer: noop.NewTracerProvider().Tracer(""), log: slog.New(slog.NewTextHandler(s.out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	return s
}

func (s *stand) prefix() string { return batch.Prefix("g", s.topic, s.id) }

// work runs requests, and batches that end when they are told.
func (s *stand) work() {
	s.t.Helper()
	w := worker.New(s.c, s.topic, worker.Options{})
	w.RegisterWorkflow(workflows.Replay)
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, b batch.Batch) (batch.Outcome, error) {
		workflow.GetSignalChannel(ctx, "end").Receive(ctx, nil)
		return batch.Outcome{Offsets: b.Ranges.Len(), Stored: b.Ranges.Len()}, nil
	}, workflow.RegisterOptions{Name: "Ingest"})
	w.RegisterActivity(&activities.Activities{Batches: s.c})
	require.NoError(s.t, w.Start())
	s.t.Cleanup(w.Stop)
}

// start starts a workflow on the test's queue, and answers its ID.
func (s *stand) start(id string, workflow, in any) string {
	s.t.Helper()
	_, err := s.c.ExecuteWorkflow(s.t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: s.topic}, workflow, in)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = s.c.TerminateWorkflow(context.Background(), id, "", "the test is over") })
	return id
}

func (s *stand) ask(name string, first, last int64) string {
	s.t.Helper()
	return s.start(batch.ReplayID("g", s.topic, s.id, name), workflows.Replay, workflows.ReplayInput{
		Group: "g", Topic: s.topic, TopicID: s.id, Ranges: span(first, last), NotBefore: time.Unix(first, 0).UTC(),
	})
}

func (s *stand) batch(n, first, last int64) string {
	s.t.Helper()
	b := batch.Batch{Group: "g", Topic: s.topic, TopicID: s.id, Number: n, Ranges: span(first, last)}
	return s.start(b.ID(), "Ingest", b)
}

func (s *stand) end(id string) {
	s.t.Helper()
	require.NoError(s.t, s.c.SignalWorkflow(s.t.Context(), id, "", "end", nil))
}

func (s *stand) remove(id string) {
	s.t.Helper()
	_, err := s.c.WorkflowService().DeleteWorkflowExecution(s.t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: s.namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id},
	})
	require.NoError(s.t, err)
}

func span(first, last int64) batch.Ranges { return batch.Ranges{{First: first, Last: last}} }

func want(id string, asked int64, rest batch.Ranges) planlog.Replay {
	return planlog.Replay{ID: id, Ranges: rest, NotBefore: time.Unix(asked, 0).UTC()}
}

// lists waits until these are the open requests: visibility is late.
func (s *stand) lists(want ...planlog.Replay) {
	s.t.Helper()
	var got []planlog.Replay
	var err error
	require.Eventually(s.t, func() bool {
		got, err = s.Replays(s.t.Context(), s.prefix())
		return err == nil && reflect.DeepEqual(want, got)
	}, 30*time.Second, 100*time.Millisecond, "want %v; see %v, %v", want, fmtLater{&got}, fmtLater{&err})
}

// fmtLater prints what a pointer points to when it is printed.
type fmtLater struct{ p any }

func (f fmtLater) String() string { return fmt.Sprint(reflect.ValueOf(f.p).Elem().Interface()) }

func TestARequestThatNobodyAnswersForIsPassedOver(t *testing.T) {
	s := newStand(t)
	id := s.ask("a", 0, 9)
	var got []planlog.Replay
	require.Eventually(t, func() bool {
		began := time.Now()
		var err error
		got, err = s.Replays(t.Context(), s.prefix())
		require.NoError(t, err)
		require.Less(t, time.Since(began), restLimit+time.Second)
		return s.out.String() != ""
	}, 30*time.Second, 100*time.Millisecond)
	require.Empty(t, got)
	require.Contains(t, s.out.String(), "replay passed over for now")
	s.work()
	s.lists(want(id, 0, span(0, 9)))
}

func TestRequestsAreListedOldestFirstWithWhatTheyStillWant(t *testing.T) {
	s := newStand(t)
	s.work()
	b := s.ask("b", 10, 19) // by age, not by name
	a := s.ask("a", 20, 29)
	s.lists(want(b, 10, span(10, 19)), want(a, 20, span(20, 29)))

	first := s.batch(0, 10, 14)
	require.NoError(t, s.Answer(t.Context(), b, 0, span(10, 14)))
	require.NoError(t, s.Answer(t.Context(), b, 0, span(10, 14)))
	got, err := s.Replays(t.Context(), s.prefix())
	require.NoError(t, err)
	require.Equal(t, []planlog.Replay{want(b, 10, span(15, 19)), want(a, 20, span(20, 29))}, got, "what was told is known at once: the planner rests on it")

	second := s.batch(1, 15, 19)
	require.NoError(t, s.Answer(t.Context(), b, 1, span(15, 19)))
	s.end(first)
	s.end(second)
	var res workflows.ReplayResult
	require.NoError(t, s.c.GetWorkflow(t.Context(), b, "").Get(t.Context(), &res))
	require.Equal(t, workflows.ReplayResult{Offsets: 10, Stored: 10, Batches: 2}, res)
	s.lists(want(a, 20, span(20, 29)))
	require.NoError(t, s.Answer(t.Context(), b, 1, span(15, 19)), "one that ended needs no answer")
	require.NoError(t, s.Answer(t.Context(), b+"x", 1, span(15, 19)))

	seen, err := s.List(t.Context(), s.prefix())
	require.NoError(t, err)
	require.Len(t, seen, 2, "requests are no batches")
}

// A takeover lists one page of the newest batches; what operators started since must not fill it.
func TestOperatorsHideNoBatch(t *testing.T) {
	s := newStand(t)
	s.work()
	id := s.batch(41, 0, 9)
	s.end(id)
	require.NoError(t, s.c.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil))
	for n := range int64(newest) {
		s.ask(fmt.Sprint(n), n, n)
	}
	require.Eventually(t, func() bool {
		n, err := s.c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Namespace: s.namespace, Query: fmt.Sprintf("WorkflowId STARTS_WITH %q", s.prefix())})
		return err == nil && n.GetCount() == newest+1
	}, 30*time.Second, 100*time.Millisecond)
	seen, err := s.List(t.Context(), s.prefix())
	require.NoError(t, err)
	require.Equal(t, map[int64]planlog.Status{41: planlog.Completed}, seen)
}

func TestABatchThatVanishedIsWantedAgain(t *testing.T) {
	s := newStand(t)
	s.work()
	r := s.ask("a", 0, 9)
	s.lists(want(r, 0, span(0, 9)))
	told := func(n int64) { require.NoError(t, s.Answer(t.Context(), r, n, span(0, 9))) }

	told(0) // and never started
	s.lists(want(r, 0, span(0, 9)))

	id := s.batch(1, 0, 9)
	told(1)
	s.lists()
	s.remove(id)
	s.lists(want(r, 0, span(0, 9)))

	id = s.batch(2, 0, 4) // the number was won by another
	told(2)
	s.end(id)
	s.lists(want(r, 0, span(0, 9)))

	id = s.batch(3, 0, 9)
	told(3)
	require.NoError(t, s.c.TerminateWorkflow(t.Context(), id, "", "by an operator"))
	s.lists()
	s.end(s.batch(3, 0, 9)) // as its planner does
	var res workflows.ReplayResult
	require.NoError(t, s.c.GetWorkflow(t.Context(), r, "").Get(t.Context(), &res))
	require.Equal(t, workflows.ReplayResult{Offsets: 10, Stored: 10, Batches: 1}, res)
}
