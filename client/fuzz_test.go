package client

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

// nasty are strings at which encoders break.
var nasty = []string{
	"", "a", "é", "😀", "\x00", "\x1f", "\x7f", `"`, `\`, `\u0041`, `\ud800`, "\u2028\u2029", "\ufffd", "\ufeff", "\U0010ffff", "\r\n\t\b\f\v", "<script>&", `","level":"x`, "null", "1e999", `{"a":1}`, " ",
	"\xff", "\xc3", "a\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "\xf0\x9f\x98", "é\x80", strings.Repeat("a", 1000) + "\"", strings.Repeat("é\n", 300),
}

// payloads are JSON and what is nearly JSON.
var payloads = []string{
	"", "null", " null ", " ", "0", "-0", "1.50E+3", "1e999", "01", "+1", ".5", "true", "nul", `""`, `"\ud83d\ude00"`, `"\ud800"`, `"\udc00\ud800"`, "\"\xff\"", "\"\n\"", `"a`, "{}", "[]", "{", "[1,]", "[1 2]", `{"a":1,}`,
	`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"b":[1,null,{"c":"\u00e9"}]}} `, `1,"service":"x"`, "1}", "1}\n{", "1 2", "/**/1", "NaN", "\ufeff1", " \t\r\n[ 1 , 2 ]\n", "\x00", "\v1", "'a'",
	strings.Repeat("[", 127) + strings.Repeat("]", 127), strings.Repeat("[", 128) + strings.Repeat("]", 128), strings.Repeat(`{"a":`, 127) + "1" + strings.Repeat("}", 127),
}

// seconds are instants near the ends of what can be stored, and of what a time can be.
var seconds = []int64{0, -1, 1, 99_999_999, 100_000_000, 1_789_702_983, 9_214_646_399, 9_214_646_400, 253_402_300_799, 253_402_300_800, -62_135_596_800, -62_167_219_201, math.MaxInt64, math.MinInt64}

var nanos = []int64{0, 1, 999, 1000, 123_456_789, 999_999_999, 1_000_000_000, -1}

var floats = []float64{0, math.Copysign(0, -1), 1, -0.1, 1e20, 1e21, 1e-6, 1e-7, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 123456789.123456789, math.NaN(), math.Inf(1), math.Inf(-1)}

// seeds are parts of nasty things, mostly alone among good ones, so that most
// structs have one fault or none.
func seeds(n int) []parts {
	r := rand.New(rand.NewPCG(5, 6))
	text := func() string {
		if r.IntN(8) > 0 {
			return "text"
		}
		return nasty[r.IntN(len(nasty))]
	}
	const good = 22 // so many of nasty are UTF-8
	var out []parts
	for range n {
		p := parts{sec: 1_789_702_983, nsec: nanos[r.IntN(len(nanos))], zone: r.IntN(200_000) - 100_000, value: floats[r.IntN(len(floats))]}
		if r.IntN(4) == 0 {
			p.sec = seconds[r.IntN(len(seconds))]
		}
		if r.IntN(2) == 0 {
			p.id = []byte{0x01, 0x98, 0xf3, 0xc1, 0x7a, 0x2b, 0x7c, 0x3d, 0x8e, 0x4f, 0xa1, 0xb2, 0xc3, 0xd4, 0xe5, byte(r.Uint32())}
		}
		for i := range p.texts {
			p.texts[i] = text()
		}
		var pairs []string
		for range r.IntN(40) {
			pairs = append(pairs, nasty[r.IntN(good)]+nasty[r.IntN(good)], text())
		}
		if r.IntN(20) == 0 {
			pairs = append(pairs, nasty[good+r.IntN(len(nasty)-good)], "value")
		}
		p.pairs = strings.Join(pairs, "|")
		p.payload = []byte(payloads[r.IntN(len(payloads))])
		out = append(out, p)
	}
	return out
}

func TestWhatTheClientAcceptsIsStoredWithEveryFieldEqual(t *testing.T) {
	accepted, refused := map[record.Kind]int{}, map[InvalidError]int{}
	for _, p := range seeds(5000) {
		for _, s := range p.checkAll(t) {
			if len(s.faults) == 0 {
				accepted[s.kind]++
			} else {
				refused[s.faults[0]]++
			}
		}
	}
	for _, kind := range record.Kinds() {
		require.Greater(t, accepted[kind], 500, "too few %ss were good to prove anything", kind)
	}
	for _, want := range everyInvalid() {
		require.NotZero(t, refused[want], "%+v never happened", want)
	}
}

// everyInvalid is how a struct can be refused.
func everyInvalid() []InvalidError {
	out := []InvalidError{
		{record.Log, "level", record.MissingField},
		{record.Metric, "name", record.MissingField},
		{record.Metric, "value", record.NumberOutOfRange},
		{record.Event, "type", record.MissingField},
	}
	for kind, texts := range map[record.Kind]string{
		record.Log:    "level message service agent_id trace_id span_id attributes",
		record.Metric: "name unit service agent_id tags",
		record.Event:  "type service agent_id task_id trace_id payload",
	} {
		out = append(out, InvalidError{kind, "timestamp", record.TimeOutOfRange})
		for _, field := range strings.Fields(texts) {
			out = append(out, InvalidError{kind, field, record.InvalidUTF8})
		}
	}
	for _, why := range []record.Reason{record.MalformedJSON, record.TruncatedJSON, record.TrailingData, record.DuplicateKey, record.TooDeep} {
		out = append(out, InvalidError{record.Event, "payload", why})
	}
	return out
}

func FuzzLog(f *testing.F) {
	for _, p := range seeds(300) {
		f.Add(p.sec, p.nsec, p.zone, p.id, p.texts[0], p.texts[1], p.texts[2], p.texts[3], p.texts[4], p.texts[5], p.pairs)
	}
	f.Fuzz(func(t *testing.T, sec, nsec int64, zone int, id []byte, level, message, service, agent, trace, span, pairs string) {
		parts{sec: sec, nsec: nsec, zone: zone, id: id, texts: [6]string{level, message, service, agent, trace, span}, pairs: pairs}.checkLog(t)
	})
}

func FuzzMetric(f *testing.F) {
	for _, p := range seeds(300) {
		f.Add(p.sec, p.nsec, p.zone, p.id, p.value, p.texts[0], p.texts[1], p.texts[2], p.texts[3], p.pairs)
	}
	f.Fuzz(func(t *testing.T, sec, nsec int64, zone int, id []byte, value float64, name, unit, service, agent, pairs string) {
		parts{sec: sec, nsec: nsec, zone: zone, id: id, value: value, texts: [6]string{name, unit, service, agent}, pairs: pairs}.checkMetric(t)
	})
}

func FuzzEvent(f *testing.F) {
	for _, p := range seeds(300) {
		f.Add(p.sec, p.nsec, p.zone, p.id, p.texts[0], p.texts[1], p.texts[2], p.texts[3], p.texts[4], p.payload)
	}
	f.Fuzz(func(t *testing.T, sec, nsec int64, zone int, id []byte, what, service, agent, task, trace string, payload []byte) {
		parts{sec: sec, nsec: nsec, zone: zone, id: id, texts: [6]string{what, service, agent, task, trace}, payload: payload}.checkEvent(t)
	})
}
