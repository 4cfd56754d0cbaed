package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	sdk "go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/frontend/frontendtest"
	"github.com/ai-backlog/ingest/workflows"
)

func execution(t *testing.T, id string, status enums.WorkflowExecutionStatus, attributes map[string]any) *workflowpb.WorkflowExecutionInfo {
	t.Helper()
	fields := map[string]*commonpb.Payload{}
	for k, v := range attributes {
		p, err := converter.GetDefaultDataConverter().ToPayload(v)
		require.NoError(t, err)
		fields[k] = p
	}
	return &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: "run"}, Status: status,
		StartTime:        timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		SearchAttributes: &commonpb.SearchAttributes{IndexedFields: fields},
	}
}

func TestBatchIsReadFromVisibility(t *testing.T) {
	const id = "group/with/ai_backlog_logs/0123456789ab/42"
	for name, c := range map[string]struct {
		status     enums.WorkflowExecutionStatus
		attributes map[string]any
		want       row
	}{
		"on the good path": {
			enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
			map[string]any{"IngestTopic": "ai_backlog_logs", "IngestRecords": 96412},
			row{State: "running", Records: 96412},
		},
		"in trouble": {
			enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
			map[string]any{"IngestState": "blocked", "IngestError": "UNKNOWN_TABLE", "IngestDeadLetters": 3},
			row{State: "blocked", Error: "UNKNOWN_TABLE", DeadLetters: 3},
		},
		"done after trouble":     {enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, map[string]any{"IngestState": "stored", "IngestError": "TIMEOUT"}, row{State: "stored", Error: "TIMEOUT"}},
		"done":                   {enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, nil, row{State: "stored"}},
		"terminated in trouble":  {enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, map[string]any{"IngestState": "blocked"}, row{State: "terminated"}},
		"attributes of any type": {enums.WORKFLOW_EXECUTION_STATUS_RUNNING, map[string]any{"IngestRecords": "many"}, row{State: "running"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Number, c.want.Topic, c.want.Workflow, c.want.Run = 42, "ai_backlog_logs", id, "run"
			c.want.Started = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			require.Equal(t, c.want, rowOf(execution(t, id, c.status, c.attributes)))
		})
	}
	require.EqualValues(t, -1, rowOf(execution(t, "something else", enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil)).Number)
}

// pages answers each query with its pages in turn.
type pages map[string][][]*workflowpb.WorkflowExecutionInfo

func (p pages) ListWorkflow(_ context.Context, in *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	all, n := p[in.GetQuery()], len(in.GetNextPageToken())
	out := &workflowservice.ListWorkflowExecutionsResponse{Executions: all[n]}
	if n++; n < len(all) {
		out.NextPageToken = make([]byte, n)
	}
	return out, nil
}

func TestUnfinishedBatchesComeFirstUpToTheLimit(t *testing.T) {
	queries, err := batchesFlags{topic: "ai_backlog_logs"}.queries()
	require.NoError(t, err)
	require.Len(t, queries, 2)
	at := func(n string, s enums.WorkflowExecutionStatus) *workflowpb.WorkflowExecutionInfo {
		return execution(t, "g/ai_backlog_logs/0123456789ab/"+n, s, nil)
	}
	const open, done = enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
	v := pages{
		queries[0]: {{at("9", open), at("8", open)}, {at("3", open)}},
		queries[1]: {{at("7", done), at("6", done)}},
	}
	for limit, want := range map[int][]int64{2: {9, 8}, 3: {9, 8, 3}, 4: {9, 8, 3, 7}, 50: {9, 8, 3, 7, 6}} {
		rows, err := list(t.Context(), v, queries, limit)
		require.NoError(t, err)
		var got []int64
		for _, r := range rows {
			got = append(got, r.Number)
		}
		require.Equal(t, want, got)
	}
}

func TestBatchesArePrinted(t *testing.T) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rows := []row{{Number: 42, Topic: "ai_backlog_logs", State: "blocked", Records: 96412, Started: started, Error: "UNKNOWN_TABLE", Workflow: "g/ai_backlog_logs/0123456789ab/42"}}
	var out bytes.Buffer
	require.NoError(t, writeTable(&out, rows, started.Add(90*time.Second)))
	require.Equal(t, []string{
		"NUMBER", "TOPIC", "STATE", "RECORDS", "DEAD", "STARTED", "AGE", "ERROR", "WORKFLOW",
		"42", "ai_backlog_logs", "blocked", "96412", "0", "2026-01-02", "03:04:05Z", "1m30s", "UNKNOWN_TABLE", "g/ai_backlog_logs/0123456789ab/42",
	}, strings.Fields(out.String()))
	out.Reset()
	require.NoError(t, jsonLines(&out, rows))
	var back row
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, rows[0], back)
	out.Reset()
	require.NoError(t, writeTable(&out, nil, started))
	require.Equal(t, "no batches\n", out.String())
}

func TestBatchesRefusesWhatVisibilityWouldMisread(t *testing.T) {
	_, err := batchesFlags{topic: "x' OR WorkflowType != '"}.queries()
	require.ErrorContains(t, err, "is no topic")
	_, err = batchesFlags{error: "x' OR WorkflowType != '"}.queries()
	require.ErrorContains(t, err, "is no name of an error")
	_, err = batchesFlags{state: "stuck"}.queries()
	require.ErrorContains(t, err, `--state "stuck" is none of running`)
}

// Every query must be one that the server understands.
func TestBatchesOnARealTemporal(t *testing.T) {
	frontendtest.Needed(t)
	for _, state := range []string{"", "running", "waiting", "blocked", "held", "isolating", "stored", "terminated", "canceled", "failed"} {
		out, _, err := starter(t, "", "batches", "--topic", "no_such_topic", "--error", "NO_SUCH_ERROR", "--state", state)
		require.NoError(t, err, "state %q", state)
		require.Equal(t, "no batches\n", out)
	}
}

// ingest starts a batch that nobody works on, until the test is over.
func ingest(t *testing.T, c client.Client, id, queue string, attributes ...sdk.SearchAttributeUpdate) {
	t.Helper()
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: queue, TypedSearchAttributes: sdk.NewSearchAttributes(attributes...)}, "Ingest")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.TerminateWorkflow(context.Background(), id, "", "the test is over") })
}

func TestBatchesAreFoundByTheirError(t *testing.T) {
	frontendtest.Needed(t)
	c, err := dialTemporal(t.Context())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	topic := "t-" + uuid.NewString()
	for n, name := range []string{"UNKNOWN_TABLE", "TIMEOUT", "UNKNOWN_TABLE"} {
		ingest(t, c, batch.ID("g", topic, batch.TopicID{}, int64(n)), topic, workflows.AttributeTopic.ValueSet(topic), workflows.AttributeError.ValueSet(name))
	}
	found := func(args ...string) (got []int64) {
		out, _, err := starter(t, "", append([]string{"batches", "--json", "--topic", topic}, args...)...)
		require.NoError(t, err)
		for l := range strings.Lines(out) {
			var r row
			require.NoError(t, json.Unmarshal([]byte(l), &r))
			got = append(got, r.Number)
		}
		return got
	}
	require.Eventually(t, func() bool { return len(found()) == 3 }, 20*time.Second, 100*time.Millisecond)
	require.ElementsMatch(t, []int64{0, 2}, found("--error", "UNKNOWN_TABLE"))
	require.Empty(t, found("--error", "UNKNOWN_TABLE", "--state", "blocked"))
}

func TestBatchesTellsThatTemporalIsAway(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	_, _, err := starter(t, "", "batches")
	require.ErrorContains(t, err, "no answer from Temporal at TEMPORAL_ADDRESS=127.0.0.1:1")
}
