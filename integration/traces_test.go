package integration

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"github.com/ai-backlog/ingest/integration/rig"
)

// collector takes traces by OTLP over gRPC, as any other does.
type collector struct {
	coltrace.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans []spanOf
}

// spanOf is a span, and the program that it is of.
type spanOf struct {
	*tracepb.Span
	service string
}

func (c *collector) Export(_ context.Context, r *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range r.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, spanOf{s, attribute(of.GetResource().GetAttributes(), "service.name")})
			}
		}
	}
	return &coltrace.ExportTraceServiceResponse{}, nil
}

func (c *collector) all() []spanOf {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans
}

func attribute(of []*common.KeyValue, name string) string {
	for _, a := range of {
		if a.GetKey() == name {
			if v, ok := a.GetValue().GetValue().(*common.AnyValue_IntValue); ok {
				return strconv.FormatInt(v.IntValue, 10)
			}
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

func (s spanOf) is(name string) string { return attribute(s.GetAttributes(), name) }

// traced are settings by which programs send spans to addr, when they end or have many.
func traced(addr string) []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + addr, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_BSP_SCHEDULE_DELAY=3600000"}
}

func TestOneTraceGoesFromThePlanOfABatchToItsRows(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c, server := &collector{}, grpc.NewServer()
	coltrace.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)

	s := newScene(t, traced(l.Addr().String())...)
	s.send(12_000)
	s.exact()
	books, err := s.Count(s.ctx)
	require.NoError(t, err)
	batches, err := s.Batches(s.ctx)
	require.NoError(t, err)
	s.consumer.Stop()
	s.worker.Stop() // with what is left of their spans

	traces := map[string][]spanOf{} // by trace
	for _, span := range c.all() {
		traces[string(span.GetTraceId())] = append(traces[string(span.GetTraceId())], span)
	}
	var plans, rows int64
	for _, spans := range traces {
		byName, byID := map[string]spanOf{}, map[string]spanOf{}
		for _, span := range spans {
			byName[span.GetName()], byID[string(span.GetSpanId())] = span, span
			if span.GetName() == "insert" {
				n, err := strconv.ParseInt(span.is("ingest.rows"), 10, 64)
				require.NoError(t, err)
				rows += n
			}
		}
		plan, ok := byName["plan"]
		if !ok {
			require.NotContains(t, byName, "insert", "of a trace without its beginning")
			continue
		}
		plans++
		id := plan.is("ingest.batch")
		require.Equal(t, "ai-backlog-consumer", plan.service)
		require.Empty(t, plan.GetParentSpanId())
		for name, parent := range map[string]string{
			"StartWorkflow:Ingest": "plan", "RunWorkflow:Ingest": "StartWorkflow:Ingest", "StartActivity:Look": "RunWorkflow:Ingest", "RunActivity:Look": "StartActivity:Look", "look": "RunActivity:Look",
			"StartActivity:Insert": "RunWorkflow:Ingest", "RunActivity:Insert": "StartActivity:Insert", "read": "RunActivity:Insert", "decode": "read", "insert": "RunActivity:Insert",
		} {
			span, ok := byName[name]
			require.True(t, ok, "%s has no span %s", id, name)
			require.Equal(t, parent, byID[string(span.GetParentSpanId())].GetName(), name)
			switch name {
			case "look", "read", "insert":
				require.Equal(t, id, span.is("ingest.batch"))
				require.Equal(t, plan.is("ingest.number"), span.is("ingest.number"))
				require.Equal(t, plan.is("ingest.topic"), span.is("ingest.topic"))
			case "RunWorkflow:Ingest", "RunActivity:Insert":
				require.Equal(t, id, span.is("temporalWorkflowID"))
				require.Equal(t, "ai-backlog-worker", span.service)
			}
		}
		require.LessOrEqual(t, byName["read"].GetEndTimeUnixNano(), byName["insert"].GetStartTimeUnixNano())
	}
	require.Equal(t, batches, plans, "every batch has a trace")
	require.Equal(t, books.Stored, rows, "and every row is in a span")
}

func TestACollectorThatNeverAnswersHoldsUpNoBatchAndNoEnd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	held := make(chan net.Conn, 1000)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			held <- c
		}
	}()
	s := newSceneOf(t, rig.Options{Env: append(traced(l.Addr().String()), "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_BSP_MAX_QUEUE_SIZE=64", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=16")})
	for range 5 {
		s.send(4_000)
	}
	s.exact()
	took := s.worker.Log()
	require.NotContains(t, took, "level=ERROR")
	for _, p := range []*rig.Process{s.worker, s.consumer} {
		began := time.Now()
		p.Stop()
		require.Less(t, time.Since(began), 15*time.Second)
	}
	require.NoError(t, s.Died())
	require.NotEmpty(t, held, "they tried")
}
