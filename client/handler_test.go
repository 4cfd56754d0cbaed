package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/require"
)

// kept is the logger that a Handler stores by; it refuses what a Client refuses.
type kept struct {
	logs []Log
	ctx  context.Context //nolint:containedctx // to see what came
	err  error           // of ctx, during the call
}

func (k *kept) StoreLog(ctx context.Context, l Log) error {
	k.ctx, k.err = ctx, ctx.Err()
	filled := l
	if l.Timestamp.IsZero() {
		filled.Timestamp = time.Now()
	}
	if _, err := appendLog(nil, &filled); err != nil {
		return err
	}
	k.logs = append(k.logs, l)
	return nil
}

func (k *kept) last() Log { return k.logs[len(k.logs)-1] }

// asMap is a log as slogtest wants to see it.
func asMap(l Log) map[string]any {
	out := map[string]any{slog.LevelKey: l.Level, slog.MessageKey: l.Message}
	if !l.Timestamp.IsZero() {
		out[slog.TimeKey] = l.Timestamp
	}
	for key, value := range l.Attributes {
		in := out
		groups := strings.Split(key, ".")
		for _, g := range groups[:len(groups)-1] {
			if in[g] == nil {
				in[g] = map[string]any{}
			}
			in = in[g].(map[string]any)
		}
		in[groups[len(groups)-1]] = value
	}
	return out
}

func TestHandlerKeepsTheContractOfSlog(t *testing.T) {
	var k *kept
	slogtest.Run(t,
		func(*testing.T) slog.Handler { k = &kept{}; return newHandler(k, HandlerOptions{}) },
		func(t *testing.T) map[string]any {
			t.Helper()
			require.Len(t, k.logs, 1)
			return asMap(k.last())
		})
}

func TestALineBecomesALog(t *testing.T) {
	var k kept
	log := slog.New(newHandler(&k, HandlerOptions{Service: "planner", AgentID: "a-1"}))
	before := time.Now()
	log.With("trace_id", "t", "tool", "grep").WithGroup("llm").With("model", "m-7").Warn("slow", "span_id", "inner", slog.Group("tokens", "in", 12, "out", uint64(7)))
	got := k.last()
	require.WithinRange(t, got.Timestamp, before, time.Now())
	got.Timestamp = time.Time{}
	require.Equal(t, Log{
		Level: "WARN", Message: "slow", Service: "planner", AgentID: "a-1", TraceID: "t",
		Attributes: map[string]string{"tool": "grep", "llm.model": "m-7", "llm.span_id": "inner", "llm.tokens.in": "12", "llm.tokens.out": "7"},
	}, got)

	log.Info("m", "span_id", "s", "trace_id", 7)
	require.Equal(t, "s", k.last().SpanID)
	require.Equal(t, "7", k.last().TraceID)
	require.Empty(t, k.last().Attributes)
}

func TestOfSeveralAttributesWithOneKeyTheLastWins(t *testing.T) {
	var k kept
	broken, mended, dotted := "\xff", "\ufffd", "g.k"
	log := slog.New(newHandler(&k, HandlerOptions{})).With("a", 1, "a", 2, "trace_id", "x")
	log.LogAttrs(t.Context(), slog.LevelInfo, "m", slog.Int("b", 1), slog.Int("a", 3), slog.Group("g", slog.Int("k", 1)), slog.Int(dotted, 2), slog.Int("b", 2),
		slog.String("trace_id", "y"), slog.Int(broken, 1), slog.Int(mended, 2))
	require.Equal(t, map[string]string{"a": "3", "b": "2", "g.k": "2", "\ufffd": "2", "invalid_utf8": "true"}, k.last().Attributes)
	require.Equal(t, "y", k.last().TraceID)
}

func TestLinesOfOneLoggerDoNotShareAttributes(t *testing.T) {
	var k kept
	log := slog.New(newHandler(&k, HandlerOptions{})).With("a", 1)
	log.With("b", 2).Info("m", "c", 3)
	log.Info("m", "d", 4)
	require.Equal(t, map[string]string{"a": "1", "b": "2", "c": "3"}, k.logs[0].Attributes)
	require.Equal(t, map[string]string{"a": "1", "d": "4"}, k.logs[1].Attributes)
	slog.New(log.Handler().WithGroup("")).Info("m", "e", 5)
	require.Equal(t, map[string]string{"a": "1", "e": "5"}, k.logs[2].Attributes)
}

func TestLevelsBecomeTheWordsOfTheProject(t *testing.T) {
	var k kept
	h := newHandler(&k, HandlerOptions{Level: slog.Level(-100)})
	for level, want := range map[slog.Level]string{
		-100: "TRACE", -5: "TRACE", -4: "DEBUG", -1: "DEBUG", 0: "INFO", 2: "INFO", 4: "WARN", 7: "WARN", 8: "ERROR", 11: "ERROR", 12: "FATAL", 100: "FATAL",
	} {
		slog.New(h).Log(t.Context(), level, "m")
		require.Equal(t, want, k.last().Level)
	}
}

func TestLinesBelowTheLevelAreNotStored(t *testing.T) {
	var k kept
	var level slog.LevelVar
	log := slog.New(newHandler(&k, HandlerOptions{Level: &level}))
	log.Debug("m")
	require.Empty(t, k.logs)
	level.Set(slog.LevelDebug)
	log.Debug("m")
	require.Len(t, k.logs, 1)
	require.False(t, newHandler(&k, HandlerOptions{}).Enabled(t.Context(), slog.LevelDebug), "nil is Info")
	require.True(t, newHandler(&k, HandlerOptions{}).Enabled(t.Context(), slog.LevelInfo))
}

type (
	loud   struct{}
	secret string
	cycle  []any
)

func (loud) String() string { panic("loud") }
func (secret) LogValue() slog.Value {
	return slog.GroupValue(slog.String("len", "6"), slog.Any("inner", slog.AnyValue(time.Minute)))
}

type dated struct{ Year int }

func (d dated) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "of %d", d.Year), nil }

type broken struct{}

func (broken) MarshalJSON() ([]byte, error) { panic("broken") }

func TestValuesBecomeTheTextThatPeopleExpect(t *testing.T) {
	endless := cycle{1}
	endless[0] = endless
	var nobody *netip.Addr
	for want, value := range map[string]any{
		"text": "text", "-7": -7, "0.1": 0.1, "1e+21": 1e21, "true": true, "NaN": math.NaN(), "1m30s": 90 * time.Second, "null": nil, "bytes": []byte("bytes"),
		"2026-09-18T05:43:03.000000001Z": time.Date(2026, 9, 18, 5, 43, 3, 1, time.UTC),
		"no <way>":                       errors.New("no <way>"),
		"10.0.0.1":                       netip.MustParseAddr("10.0.0.1"),
		`{"A":1,"B":["<é>"]}`: struct {
			A int
			B []string
		}{1, []string{"<é>"}},
		"[1,2]":                          []int{1, 2},
		"<nil>":                          nobody,
		"%!v(PANIC=String method: loud)": loud{},
		"of 2026":                        dated{2026},
		"!PANIC: broken":                 broken{},
		"!ERROR: json: unsupported type: chan int": make(chan int),
	} {
		var k kept
		slog.New(newHandler(&k, HandlerOptions{})).Info("m", "k", value)
		require.Equal(t, map[string]string{"k": want}, k.last().Attributes)
	}
	var k kept
	slog.New(newHandler(&k, HandlerOptions{})).Info("m", "k", endless, "s", secret("secret"))
	require.Contains(t, k.last().Attributes["k"], "cycle")
	require.Equal(t, "6", k.last().Attributes["s.len"])
	require.Equal(t, "1m0s", k.last().Attributes["s.inner"])
}

func TestNothingInALineMakesItRefused(t *testing.T) {
	for _, text := range append(nasty, "\xff\xfe\xfd") {
		var k kept
		h := newHandler(&k, HandlerOptions{Service: text, AgentID: text})
		attr := slog.String(text, text)
		r := slog.NewRecord(time.Now(), slog.LevelInfo, text, 0)
		r.AddAttrs(attr, slog.Group(text, attr, slog.String("trace_id", text)))
		require.NoError(t, h.WithAttrs([]slog.Attr{attr}).WithGroup(text).WithAttrs([]slog.Attr{attr}).Handle(t.Context(), r), "%.100q", text)
		slog.New(h).Info("m", "trace_id", text, "span_id", text)
		require.Len(t, k.logs, 2, "%.100q", text)
		for _, l := range k.logs {
			require.Equal(t, strings.ToValidUTF8(text, "\ufffd") != text, l.Attributes["invalid_utf8"] == "true", "%.100q", text)
		}
		require.Equal(t, strings.ToValidUTF8(text, "\ufffd"), k.logs[0].Message)
	}
}

func TestATimeThatCannotBeStoredBecomesAnAttribute(t *testing.T) {
	var k kept
	at := time.Date(1969, 12, 31, 23, 59, 59, 5, time.UTC)
	require.NoError(t, newHandler(&k, HandlerOptions{}).Handle(t.Context(), slog.NewRecord(at, slog.LevelInfo, "m", 0)))
	require.Equal(t, Log{Level: "INFO", Message: "m", Attributes: map[string]string{"time": "1969-12-31T23:59:59.000000005Z"}}, k.last())
}

func TestSourceIsStoredWhenItIsAskedFor(t *testing.T) {
	var k kept
	slog.New(newHandler(&k, HandlerOptions{AddSource: true})).WithGroup("g").Info("m")
	got := k.last().Attributes
	require.Len(t, got, 3)
	require.True(t, strings.HasSuffix(got["source.file"], "/client/handler_test.go"), got)
	require.Contains(t, got["source.function"], "TestSourceIsStored")
	require.NotEmpty(t, got["source.line"])
	require.NoError(t, newHandler(&k, HandlerOptions{AddSource: true}).Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, "m", 0)))
	require.Empty(t, k.last().Attributes, "a record without a place")
}

// The lines of a canceled request are those that one looks for.
func TestALineIsStoredAlthoughItsContextIsDone(t *testing.T) {
	var k kept
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	log := slog.New(newHandler(&k, HandlerOptions{}))
	log.InfoContext(ctx, "m")
	require.Equal(t, ctx, k.ctx, "and waits for room as long as its caller does")
	cancel()
	log.InfoContext(ctx, "m")
	require.Len(t, k.logs, 2)
	require.NoError(t, k.err)
	require.Equal(t, "v", k.ctx.Value(key{}))
	_, bounded := k.ctx.Deadline()
	require.True(t, bounded, "but not for ever")
}

func TestTheErrorOfTheClientIsReturned(t *testing.T) {
	full := errors.New("full")
	require.ErrorIs(t, newHandler(refusing{full}, HandlerOptions{}).Handle(t.Context(), slog.Record{}), full)
}

type refusing struct{ err error }

func (r refusing) StoreLog(context.Context, Log) error { return r.err }

func BenchmarkHandler(b *testing.B) {
	log := slog.New(newHandler(refusing{}, HandlerOptions{})).With("version", "1.2.3", "trace_id", "00000000000000009e3779b97f4a7c15")
	b.ReportAllocs()
	for b.Loop() {
		log.Info("handled request", "method", "POST", "status", 200, "took", time.Millisecond)
	}
}
