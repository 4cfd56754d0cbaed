package monitor

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
)

// Instrument has Temporal's client, and workers made from it, show the SDK's metrics and take part in traces. Once for each
// registry. The program's own tracers are for what is not Temporal's; stop is Tracing.Start's.
func Instrument(ctx context.Context, program string, o *client.Options, t Tracing, reg prometheus.Registerer, log *slog.Logger) (tracers trace.TracerProvider, stop func(), err error) {
	if o.MetricsHandler, err = temporalMetrics(reg); err != nil {
		return nil, nil, err
	}
	if tracers, stop, err = t.Start(ctx, program, log); err != nil {
		return nil, nil, err
	}
	o.Interceptors, err = t.temporalSpans(tracers)
	return tracers, stop, err
}

// temporalMetrics is a handler that shows the metrics of Temporal's SDK, all named temporal_*, in the registry.
func temporalMetrics(reg prometheus.Registerer) (client.MetricsHandler, error) {
	e, err := exporter.New(exporter.WithRegisterer(reg), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("show the metrics of Temporal's SDK: %w", err)
	}
	// OpenTelemetry's own bounds are for milliseconds, and these are seconds.
	seconds := metric.NewView(metric.Instrument{Kind: metric.InstrumentKindHistogram}, metric.Stream{Aggregation: metric.AggregationExplicitBucketHistogram{
		Boundaries: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}, NoMinMax: true,
	}})
	meter := metric.NewMeterProvider(metric.WithReader(e), metric.WithView(seconds)).Meter("temporal-sdk-go")
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter: meter, UseMonotonicCounters: true,
		OnError: func(err error) { slog.Warn("a metric of temporal is left out", "error", err) },
	}), nil
}
