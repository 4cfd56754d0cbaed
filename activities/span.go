package activities

import (
	"context"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// scope names who made a span.
const scope = "github.com/ai-backlog/ingest/activities"

// span begins a part of an activity in the trace of its batch. Where nothing is traced it costs nothing.
func span(ctx context.Context, name string, j Job) (context.Context, trace.Span) {
	of := trace.SpanFromContext(ctx) // the activity's, by Temporal's interceptor
	if !of.IsRecording() {
		return ctx, trace.SpanFromContext(nil) //nolint:staticcheck // the span that does nothing
	}
	at := []attribute.KeyValue{attribute.String("ingest.batch", j.Workflow), attribute.String("ingest.topic", j.Topic), attribute.Int("ingest.turn", j.Turn)}
	if n, err := strconv.ParseInt(j.Workflow[strings.LastIndexByte(j.Workflow, '/')+1:], 10, 64); err == nil { // a redrive has none
		at = append(at, attribute.Int64("ingest.number", n))
	}
	ctx, s := of.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithAttributes(at...)) //nolint:spancheck // end ends it
	return ctx, s                                                                             //nolint:spancheck // the same
}

// end ends a span of span, saying whether it went well.
func end(s trace.Span, err error) {
	if err != nil {
		s.SetStatus(codes.Error, short(err.Error()))
	}
	s.End()
}

// reading is the span of what a block's records take until they are columns: the fetches, and, between them, the decoding. That
// is many short times; the span "decode" inside it is as long as all of them.
type reading struct {
	span  trace.Span // nil: none is open, or nothing is traced
	began time.Time
	tick  time.Time // when the decoding of a response began
	took  time.Duration
}

// read opens the span of the open block, unless it is.
func (w *writer) read(ctx context.Context) {
	if w.reading.span != nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, s := span(ctx, "read", w.in.Job)
	w.reading = reading{span: s, began: time.Now()}
}

// decodes and decoded are around the decoding of a response.
func (r *reading) decodes() {
	if r.span != nil {
		r.tick = time.Now()
	}
}

func (r *reading) decoded() {
	if r.span != nil && !r.tick.IsZero() {
		r.took += time.Since(r.tick)
		r.tick = time.Time{}
	}
}

// done ends the spans of a block that is read, or whose reading has failed.
func (w *writer) done(ctx context.Context, err error) {
	r := &w.reading
	if r.span == nil {
		return
	}
	r.decoded()
	_, s := r.span.TracerProvider().Tracer(scope).Start(trace.ContextWithSpan(ctx, r.span), "decode", trace.WithTimestamp(r.began))
	s.SetAttributes(attribute.Int("ingest.rows", w.block.Rows()), attribute.Int64("ingest.rejected", w.tally.Rejected))
	s.End(trace.WithTimestamp(r.began.Add(r.took)))
	r.span.SetAttributes(attribute.Int64("ingest.offsets", w.open.Len()), attribute.Int64("ingest.bytes", w.tally.Bytes))
	end(r.span, err)
	w.reading = reading{}
}

// sent ends the span of a block's insert. Its token is also the query's ID in ClickHouse's query_log.
func (w *writer) sent(s trace.Span, token string, tries int, err error) {
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(attribute.String("ingest.table", w.kind.Table()), attribute.Int("ingest.rows", w.block.Rows()), attribute.Int("ingest.bytes", w.block.Bytes()),
		attribute.String("ingest.token", token), attribute.Int("ingest.tries", tries))
	end(s, err)
}
