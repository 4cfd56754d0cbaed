package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
)

// flushLimit is how long the end of a program waits for a collector to take the last spans.
const flushLimit = 3 * time.Second

// Tracing is where traces go, by OpenTelemetry's own variables; its SDK reads the others (headers, certificates, sampler,
// service name) itself. Without an endpoint there are none.
type Tracing struct {
	Endpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	Protocol string `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf"`
}

// Validate tells what is wrong with an endpoint or protocol.
func (t Tracing) Validate() error {
	if t.Endpoint == "" {
		return nil
	}
	var errs []error
	if u, err := url.Parse(t.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT is %q: give a URL, like http://localhost:4318", t.Endpoint))
	}
	if t.Protocol != "grpc" && t.Protocol != "http/protobuf" {
		errs = append(errs, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: give http/protobuf, usually with port 4318, or grpc, with 4317", t.Protocol))
	}
	return errors.Join(errs...)
}

// Off tells whether nothing is traced.
func (t Tracing) Off() bool {
	return t.Endpoint == "" || os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none"
}

// Start gives the tracers of a program. Spans are sent in the background, out of a buffer of bounded size: a collector that is
// away or hangs loses spans, and holds up nothing. stop sends what is left, for three seconds at most.
func (t Tracing) Start(ctx context.Context, program string, log *slog.Logger) (tracers trace.TracerProvider, stop func(), err error) {
	if t.Off() {
		return noop.NewTracerProvider(), func() {}, nil
	}
	exporter, err := t.exporter(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("send traces to %s (OTEL_EXPORTER_OTLP_ENDPOINT): %w", t.Endpoint, err)
	}
	// What the environment says comes last, and holds.
	of, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(attribute.String("service.name", "ai-backlog-"+program)), resource.WithFromEnv())
	if err != nil {
		log.Warn("traces do not say all of what they are of", "error", err)
	}
	complain(log)
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter, sdktrace.WithExportTimeout(10*time.Second)), sdktrace.WithResource(of))
	return p, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushLimit)
		defer cancel()
		if err := p.Shutdown(ctx); err != nil {
			log.Warn("the last spans were not taken by the collector", "error", err)
		}
	}, nil
}

func (t Tracing) exporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	if t.Protocol == "grpc" {
		return otlptrace.New(ctx, otlptracegrpc.NewClient())
	}
	return otlptrace.New(ctx, otlptracehttp.NewClient())
}

// complain has OpenTelemetry's errors told in our log, one a minute: a collector that is away is no reason for more.
func complain(log *slog.Logger) {
	var last atomic.Int64
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		now := time.Now().UnixNano()
		if was := last.Load(); now-was > int64(repeatAfter) && last.CompareAndSwap(was, now) {
			log.Warn("traces are lost", "error", err, "do", "nothing, unless it lasts: check OTEL_EXPORTER_OTLP_ENDPOINT")
		}
	}))
}

// temporalSpans are interceptors for Temporal's client, and so for its workers: one trace goes through whoever starts a workflow,
// the workflow, and its activities, in headers. What is in a header never fails anything. None without tracing.
func (t Tracing) temporalSpans(tracers trace.TracerProvider) ([]interceptor.ClientInterceptor, error) {
	if t.Off() {
		return nil, nil
	}
	i, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{
		Tracer: tracers.Tracer("temporal-sdk-go"), DisableBaggage: true, DisableQueryTracing: true, AllowInvalidParentSpans: true,
	})
	if err != nil {
		return nil, fmt.Errorf("trace what Temporal runs: %w", err)
	}
	return []interceptor.ClientInterceptor{i}, nil
}
