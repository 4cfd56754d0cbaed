package workflows

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
)

// TestRecordedHistoriesReplay: batches that are open during an upgrade go on
// with the new code only if it decides as the old one did, be it that it is traced from now on.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/history/*/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files, "each release leaves histories; record them with integration/history")
	traced, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{Tracer: sdktrace.NewTracerProvider().Tracer("test"), AllowInvalidParentSpans: true})
	require.NoError(t, err)
	for _, c := range []struct {
		how  string
		with []interceptor.WorkerInterceptor
	}{{"", nil}, {" traced", []interceptor.WorkerInterceptor{traced}}} {
		for _, f := range files {
			t.Run(f+c.how, func(t *testing.T) {
				r, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{Interceptors: c.with})
				require.NoError(t, err)
				r.RegisterWorkflow(Ingest)
				r.RegisterWorkflow(Replay)
				r.RegisterWorkflow(Redrive)
				r.RegisterWorkflow(Audit)
				require.NoError(t, r.ReplayWorkflowHistoryFromJSONFile(nil, f))
			})
		}
	}
}
