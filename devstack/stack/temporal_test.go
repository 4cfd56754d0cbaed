//go:build unix

package stack_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ai-backlog/ingest/devstack/stack"
)

func temporal(t *testing.T) *stack.Server {
	t.Helper()
	s, err := stack.Temporal(stack.TemporalOptions{Binaries: binaries(t), Dir: t.TempDir()})
	return running(t, s, err)
}

func frontend(t *testing.T, s *stack.Server) workflowservice.WorkflowServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return workflowservice.NewWorkflowServiceClient(conn)
}

// begin starts a workflow that no worker takes, with all the search attributes of the ingest.
func begin(t *testing.T, c workflowservice.WorkflowServiceClient, id string) string {
	t.Helper()
	attributes := map[string]*commonpb.Payload{}
	for name, value := range map[string]string{
		"IngestTopic": `"ai_backlog_logs"`, "IngestState": `"waiting"`, "IngestError": `""`, "IngestRecords": `12`, "IngestDeadLetters": `0`,
	} {
		attributes[name] = &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(value)}
	}
	run, err := c.StartWorkflowExecution(t.Context(), &workflowservice.StartWorkflowExecutionRequest{
		Namespace: "default", WorkflowId: id, RequestId: id, Identity: "test",
		WorkflowType:     &commonpb.WorkflowType{Name: "Ingest"},
		TaskQueue:        &taskqueuepb.TaskQueue{Name: "ingest"},
		SearchAttributes: &commonpb.SearchAttributes{IndexedFields: attributes},
	})
	require.NoError(t, err, "the server said it was ready")
	return run.GetRunId()
}

func TestTemporalKeepsWorkflowsOverSIGKILL(t *testing.T) {
	s := temporal(t)
	run := begin(t, frontend(t, s), "kept")
	for range 2 {
		replaced(t, s)
		c := frontend(t, s)
		begin(t, c, "again-"+time.Now().Format("150405.000000"))
		kept, err := c.DescribeWorkflowExecution(t.Context(), &workflowservice.DescribeWorkflowExecutionRequest{
			Namespace: "default", Execution: &commonpb.WorkflowExecution{WorkflowId: "kept"},
		})
		require.NoError(t, err)
		require.Equal(t, run, kept.GetWorkflowExecutionInfo().GetExecution().GetRunId())
		require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, kept.GetWorkflowExecutionInfo().GetStatus())
	}
	eventually(t, "found by its search attributes", func() bool {
		found, err := frontend(t, s).CountWorkflowExecutions(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: "default", Query: `IngestTopic = "ai_backlog_logs" AND IngestRecords = 12`,
		})
		return err == nil && found.GetCount() == 3
	})
}

func TestTemporalNamespaceKeepsClosedWorkflowsForAWeek(t *testing.T) {
	described, err := frontend(t, temporal(t)).DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	require.NoError(t, err)
	require.Equal(t, 7*24*time.Hour, described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
}

func TestTemporalTakesOtherInternalPortsWhenOneIsTaken(t *testing.T) {
	s, err := stack.Temporal(stack.TemporalOptions{Binaries: binaries(t), Dir: t.TempDir(), NoUI: true})
	require.NoError(t, err)
	taken := s.SparePorts()[3]
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(taken))) //nolint:noctx // a listener on loopback does not wait
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	running(t, s, nil)
	require.NotContains(t, s.SparePorts(), taken)
}
