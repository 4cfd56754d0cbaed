package client

import (
	"context"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// lateWait is how long a line waits for room in a full buffer when its context
// is over already. Without it the lines of a canceled request would get lost,
// which are those that one looks for.
const lateWait = time.Second

// logger is what a Handler needs of a Client.
type logger interface {
	StoreLog(ctx context.Context, l Log) error
}

// HandlerOptions say what a Handler stores and how. The zero value is fine.
type HandlerOptions struct {
	Level     slog.Leveler // the least level that is stored; nil: slog.LevelInfo
	Service   string       // empty: Config.Service
	AgentID   string       // empty: Config.AgentID
	AddSource bool         // attributes source.function, source.file and source.line: where the call stands
}

// Handler is a slog.Handler whose lines become rows of the table logs:
//
//	slog.SetDefault(slog.New(client.NewHandler(c, client.HandlerOptions{Service: "planner"})))
//
// Attributes are stored as text, those of groups as group.key; of several with
// one key the last wins. Errors, times, durations and whatever has a text of its
// own (String, MarshalText) are stored as that text, other values as JSON.
// Attributes trace_id and span_id outside of groups go to their columns. Levels
// become the words TRACE, DEBUG, INFO, WARN, ERROR and FATAL; one in between, such
// as slog.LevelInfo+2, the word below it; below slog.LevelDebug is TRACE, four and
// more above slog.LevelError is FATAL.
//
// A line is not refused for what is in it: what is not UTF-8 becomes U+FFFD, and
// the attribute invalid_utf8=true says so; a time that cannot be stored becomes
// an attribute, time. Only a line that is too large for Kafka gets lost. Handle
// returns the error, but package slog drops it: the client counts it.
//
// While the client's buffer is full, a line waits until the context of the call is
// done, as StoreLog does; at least a second if it was done before. So logging
// holds up a program that logs more than can be stored.
type Handler struct {
	to      logger
	level   slog.Leveler
	service string
	agent   string
	source  bool
	prefix  string // of keys: open groups, each with a dot
	with    line   // what WithAttrs gave
}

// NewHandler returns a Handler that stores by c.
func NewHandler(c *Client, o HandlerOptions) *Handler { return newHandler(c, o) }

func newHandler(c logger, o HandlerOptions) *Handler {
	h := &Handler{to: c, level: o.Level, source: o.AddSource}
	if h.level == nil {
		h.level = slog.LevelInfo
	}
	h.service = strings.ToValidUTF8(o.Service, "\uFFFD")
	h.agent = strings.ToValidUTF8(o.AgentID, "\uFFFD")
	return h
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// WithAttrs implements slog.Handler. The attributes are made text now, once.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.with = h.with.clone(len(attrs))
	for _, a := range attrs {
		next.with.add(h.prefix, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.prefix += name + "."
	}
	return &next
}

// Handle implements slog.Handler. A canceled context does not stop it.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	l := h.with.clone(r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		l.add(h.prefix, a)
		return true
	})
	out := Log{
		Timestamp: r.Time, Level: word(r.Level), Message: l.valid(r.Message),
		Service: h.service, AgentID: h.agent, TraceID: l.trace, SpanID: l.span, Attributes: l.attributes,
	}
	if !r.Time.IsZero() && !storable(r.Time) {
		out.Timestamp = time.Time{}
		l.put(slog.TimeKey, r.Time.Format(time.RFC3339Nano))
	}
	if h.source {
		l.source(r.Source())
	}
	if l.replaced {
		l.put("invalid_utf8", "true")
	}
	if ctx.Err() != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateWait)
		defer cancel()
		ctx = late
	}
	return h.to.StoreLog(ctx, out)
}

// word is the level as all of the project's logs name it.
func word(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "TRACE"
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARN"
	case l < slog.LevelError+4:
		return "ERROR"
	}
	return "FATAL"
}

// line collects attributes.
type line struct {
	attributes  map[string]string
	trace, span string
	replaced    bool // something was not UTF-8
}

// clone is a copy that has room for more, and shares nothing.
func (l *line) clone(more int) line {
	next := *l
	next.attributes = make(map[string]string, len(l.attributes)+more)
	maps.Copy(next.attributes, l.attributes)
	return next
}

// add puts in an attribute, or those of a group.
func (l *line) add(prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			l.add(prefix, member)
		}
		return
	}
	if a.Key == "" && v.Equal(slog.Value{}) {
		return
	}
	text := l.valid(textOf(v))
	switch key := prefix + a.Key; key {
	case "trace_id":
		l.trace = text
	case "span_id":
		l.span = text
	default:
		l.put(l.valid(key), text)
	}
}

func (l *line) source(at *slog.Source) {
	if at == nil {
		return
	}
	l.put("source.function", l.valid(at.Function))
	l.put("source.file", l.valid(at.File))
	l.put("source.line", strconv.Itoa(at.Line))
}

func (l *line) put(key, text string) { l.attributes[key] = text }

func (l *line) valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	l.replaced = true
	return strings.ToValidUTF8(text, "\uFFFD")
}
