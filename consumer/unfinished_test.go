package main

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/planlog"
	"github.com/ai-backlog/ingest/workflows"
)

// standIn is a batch that is in a state until it is told to go on in another run, or to end.
func standIn(ctx workflow.Context, state string) (batch.Outcome, error) {
	if state != "" {
		if err := workflow.UpsertTypedSearchAttributes(ctx, workflows.AttributeState.ValueSet(state)); err != nil {
			return batch.Outcome{}, err
		}
	}
	var again bool
	workflow.GetSignalChannel(ctx, "end").Receive(ctx, &again)
	if again {
		return batch.Outcome{}, workflow.NewContinueAsNewError(ctx, "Ingest", state)
	}
	return batch.Outcome{}, nil
}

// standIns runs batches that are in a state, and audits that end as they are told.
func (s *stand) standIns() {
	s.t.Helper()
	w := worker.New(s.c, s.topic, worker.Options{})
	w.RegisterWorkflowWithOptions(standIn, workflow.RegisterOptions{Name: "Ingest"})
	w.RegisterWorkflowWithOptions(func(_ workflow.Context, o workflows.AuditOutcome) (workflows.AuditOutcome, error) { return o, nil }, workflow.RegisterOptions{Name: "Audit"})
	require.NoError(s.t, w.Start())
	s.t.Cleanup(w.Stop)
}

// inState starts batch n in a state, and answers its ID and when it was started.
func (s *stand) inState(n int64, state string) (string, time.Time) {
	s.t.Helper()
	id := s.start(batch.ID("g", s.topic, s.id, n), "Ingest", state)
	d, err := s.c.DescribeWorkflowExecution(s.t.Context(), id, "")
	require.NoError(s.t, err)
	return id, d.GetWorkflowExecutionInfo().GetStartTime().AsTime()
}

func (s *stand) tell(id string, again bool) {
	s.t.Helper()
	require.NoError(s.t, s.c.SignalWorkflow(s.t.Context(), id, "", "end", again))
}

// run is the current one's ID.
func (s *stand) run(id string) string {
	s.t.Helper()
	d, err := s.c.DescribeWorkflowExecution(s.t.Context(), id, "")
	require.NoError(s.t, err)
	return d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

func TestUnfinishedBatchesAreToldByStateAndByTheirFirstStart(t *testing.T) {
	s := newStand(t)
	s.standIns()
	u := &unfinished{batches: s.batches, group: "g", topic: s.topic}
	found, err := u.list(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)

	s.inState(0, "")
	s.inState(1, "isolating")
	blocked, began := s.inState(2, "blocked")
	s.inState(3, "blocked")
	done, _ := s.inState(4, "waiting")
	s.tell(done, false)
	first := s.run(blocked)
	s.tell(blocked, true) // goes on in another run
	require.Eventually(t, func() bool { return s.run(blocked) != first }, 20*time.Second, 20*time.Millisecond)

	want := map[string]int{"running": 2, "blocked": 2}
	require.Eventually(t, func() bool {
		found, err = u.list(t.Context())
		require.NoError(t, err)
		got := map[string]int{}
		for state, in := range found {
			got[state] = in.count
		}
		return got["blocked"] == want["blocked"] && got["running"] == want["running"] && len(got) == len(want) && u.starts[s.run(blocked)].Equal(began)
	}, 20*time.Second, 100*time.Millisecond, "%v of %v", found, want)
	require.Equal(t, began.UTC(), found["blocked"].first.UTC(), "not the start of the run that goes on with it")
}

func TestABatchThatGoesOnInAnotherRunTookAsLongAsAllOfThem(t *testing.T) {
	s := newStand(t)
	s.standIns()
	id, began := s.inState(0, "")
	first := s.run(id)
	s.tell(id, true)
	require.Eventually(t, func() bool { return s.run(id) != first }, 20*time.Second, 20*time.Millisecond)
	s.tell(id, false)
	require.Eventually(t, func() bool {
		status, _, err := s.watches.poll(t.Context(), id)
		require.NoError(t, err)
		return status == planlog.Completed
	}, 20*time.Second, 20*time.Millisecond)
	took, ok := s.watches.lasted(id)
	require.True(t, ok)
	d, err := s.c.DescribeWorkflowExecution(t.Context(), id, "")
	require.NoError(t, err)
	require.Equal(t, d.GetWorkflowExecutionInfo().GetCloseTime().AsTime().Sub(began), took)
	_, ok = s.watches.lasted(id)
	require.False(t, ok, "it is told once")
}

// audit runs one that ends in that outcome.
func (s *stand) audit(id string, o workflows.AuditOutcome) {
	s.t.Helper()
	r, err := s.c.ExecuteWorkflow(s.t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: s.topic}, "Audit", o)
	require.NoError(s.t, err)
	require.NoError(s.t, r.Get(s.t.Context(), nil))
}

func TestTheNewestAuditIsTheOneOfTheWholeTopicThatEndedLastWhoeverAskedForIt(t *testing.T) {
	s := newStand(t)
	s.standIns()
	var last audited
	newest := func(is func(audited) bool) audited {
		require.Eventually(t, func() bool {
			a, err := s.newestAudit(t.Context(), "g", s.topic, last)
			require.NoError(t, err)
			last = a
			return is(a)
		}, 20*time.Second, 100*time.Millisecond)
		return last
	}
	require.Empty(t, newest(func(audited) bool { return true }).run)
	gap := activities.Findings{Offsets: 1}
	s.audit(workflows.AuditID("g", s.topic, s.id, uuid.NewString()), workflows.AuditOutcome{Audited: activities.Audited{Gaps: gap}})
	one := newest(func(a audited) bool { return a.run != "" })
	require.False(t, one.clean)
	require.WithinDuration(t, time.Now(), one.at, 30*time.Second)
	s.audit(workflows.AuditScheduleID("g", s.topic)+"-2026-11-27T05:08:00Z", workflows.AuditOutcome{})
	require.True(t, newest(func(a audited) bool { return a.run != one.run }).clean)
	two := last
	s.audit(workflows.AuditID("g", s.topic, s.id, uuid.NewString()), workflows.AuditOutcome{Untold: []activities.Untold{{Why: "Kafka was away"}}})
	require.False(t, newest(func(a audited) bool { return a.run != two.run }).clean, "it could not tell")
	three := last

	part := workflows.AuditID("g", s.topic, s.id, uuid.NewString())
	s.audit(part, workflows.AuditOutcome{Ranges: batch.Ranges{{Last: 9}}}) // its input has the same field
	require.Equal(t, three.run, newest(func(a audited) bool { return a.parts[s.run(part)] }).run, "one of a part says nothing of the rest")
	last = audited{}
	require.Equal(t, three.run, newest(func(a audited) bool { return a.run != "" }).run)

	id := workflows.AuditID("g", s.topic, s.id, uuid.NewString())
	_, err := s.c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "nobody works on it"}, "Audit", workflows.AuditOutcome{})
	require.NoError(t, err)
	require.NoError(t, s.c.TerminateWorkflow(t.Context(), id, "", "it takes too long"))
	last = audited{}
	require.Equal(t, three.run, newest(func(a audited) bool { return a.run != "" }).run, "one that was ended from outside found nothing out")
}
