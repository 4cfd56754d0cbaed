package monitor

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// said is a log that may be read while it is written.
type said struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

func (s *said) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

// names of the spans of a request, behind the service's.
func names(r *coltrace.ExportTraceServiceRequest) (out []string) {
	for _, of := range r.GetResourceSpans() {
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				out = append(out, a.GetValue().GetStringValue())
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				out = append(out, s.GetName())
			}
		}
	}
	return out
}

type collector struct {
	coltrace.UnimplementedTraceServiceServer
	got chan []string
}

func (c collector) Export(_ context.Context, r *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	c.got <- names(r)
	return &coltrace.ExportTraceServiceResponse{}, nil
}

func TestSpansReachACollectorByEitherProtocolWhenTheProgramEnds(t *testing.T) {
	got := make(chan []string, 10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer()
	coltrace.RegisterTraceServiceServer(s, collector{got: got})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	h := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		var req coltrace.ExportTraceServiceRequest
		if r.URL.Path == "/v1/traces" && proto.Unmarshal(body.Bytes(), &req) == nil {
			got <- names(&req)
		}
	}))
	t.Cleanup(h.Close)
	for protocol, endpoint := range map[string]string{"grpc": "http://" + l.Addr().String(), "http/protobuf": h.URL} {
		for set, service := range map[string]string{"": "ai-backlog-worker", "ours": "ours"} {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
			t.Setenv("OTEL_SERVICE_NAME", set)
			var out said
			ctx, cancel := context.WithCancel(t.Context())
			tracers, stop, err := Tracing{Endpoint: endpoint, Protocol: protocol}.Start(ctx, "worker", out.logger())
			require.NoError(t, err)
			_, span := tracers.Tracer("t").Start(ctx, "a part")
			span.End()
			cancel() // as a program's is when it ends
			stop()
			require.Equal(t, []string{service, "a part"}, <-got, protocol)
			require.Empty(t, out.String())
		}
	}
}

// mute accepts and never answers.
func mute(t *testing.T) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return "http://" + l.Addr().String()
}

func TestACollectorThatHangsOrIsAwayHoldsNothingUp(t *testing.T) {
	for name, endpoint := range map[string]string{"hangs": mute(t), "is away": "http://127.0.0.1:1"} {
		for _, protocol := range []string{"grpc", "http/protobuf"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
				var out said
				tracers, stop, err := Tracing{Endpoint: endpoint, Protocol: protocol}.Start(t.Context(), "worker", out.logger())
				require.NoError(t, err)
				tracer, began := tracers.Tracer("t"), time.Now()
				for range 20_000 { // ten times what the buffer holds
					_, span := tracer.Start(t.Context(), "a part", trace.WithSpanKind(trace.SpanKindInternal))
					span.End()
				}
				require.Less(t, time.Since(began), 2*time.Second)
				began = time.Now()
				stop()
				require.Less(t, time.Since(began), flushLimit+time.Second)
				require.NotEmpty(t, out.String())
				require.LessOrEqual(t, strings.Count(out.String(), "\n"), 2, out.String())
			})
		}
	}
}

func TestWithoutACollectorNothingIsTraced(t *testing.T) {
	for name, c := range map[string]struct {
		tracing Tracing
		env     map[string]string
	}{
		"no endpoint":  {Tracing{Protocol: "grpc"}, nil},
		"switched off": {Tracing{Endpoint: "http://127.0.0.1:1", Protocol: "grpc"}, map[string]string{"OTEL_SDK_DISABLED": "true"}},
		"no exporter":  {Tracing{Endpoint: "http://127.0.0.1:1", Protocol: "grpc"}, map[string]string{"OTEL_TRACES_EXPORTER": "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			var o client.Options
			tracers, stop, err := Instrument(t.Context(), "worker", &o, c.tracing, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			defer stop()
			_, span := tracers.Tracer("t").Start(t.Context(), "a part")
			defer span.End()
			require.False(t, span.IsRecording())
			require.Empty(t, o.Interceptors, "no header in any history")
			require.NotNil(t, o.MetricsHandler)
		})
	}
}

func TestWhatIsWrongWithAnEndpointIsSaid(t *testing.T) {
	for _, c := range []struct{ endpoint, protocol, want string }{
		{"", "anything", ""},
		{"http://localhost:4318", "http/protobuf", ""},
		{"https://collector/otlp", "grpc", ""},
		{"localhost:4317", "grpc", `OTEL_EXPORTER_OTLP_ENDPOINT is "localhost:4317": give a URL`},
		{"http://localhost:4318", "http/json", `OTEL_EXPORTER_OTLP_PROTOCOL is "http/json": give http/protobuf`},
	} {
		err := Tracing{Endpoint: c.endpoint, Protocol: c.protocol}.Validate()
		if c.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestTheMetricsOfTemporalsSDKAreInTheRegistryInSeconds(t *testing.T) {
	reg := prometheus.NewRegistry()
	var o client.Options
	_, stop, err := Instrument(t.Context(), "worker", &o, Tracing{}, reg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer stop()
	h := o.MetricsHandler.WithTags(map[string]string{"operation": "StartWorkflowExecution"})
	h.Counter("temporal_request").Inc(2)
	h.Timer("temporal_request_latency").Record(30 * time.Millisecond)
	h.Gauge("temporal_worker_task_slots_available").Update(5)
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 3)
	require.Equal(t, "temporal_request_latency_seconds", families[0].GetName())
	require.InDelta(t, 0.03, families[0].GetMetric()[0].GetHistogram().GetSampleSum(), 1e-9)
	require.Len(t, families[0].GetMetric()[0].GetHistogram().GetBucket(), 14)
	require.Equal(t, "temporal_request_total", families[1].GetName())
	require.InDelta(t, 2, families[1].GetMetric()[0].GetCounter().GetValue(), 0)
	require.Len(t, families[1].GetMetric()[0].GetLabel(), 1)
	require.Equal(t, "temporal_worker_task_slots_available", families[2].GetName())
}
