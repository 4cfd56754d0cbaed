package record

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sample is a text and what becomes of it: "" is accepted.
type sample struct {
	text  string
	want  Reason
	field string
}

// textSamples are faults, or not, of JSON itself, alike for every kind.
func textSamples(kind Kind) []sample {
	record := minimal(kind)
	in := func(value string) string { return with(kind, `"x":`+value) }
	return []sample{
		{"", Empty, ""},
		{" ", TruncatedJSON, ""},
		{"\xef\xbb\xbf" + record, MalformedJSON, ""},
		{" \t\r\n" + record + " \t\r\n", "", ""},
		{record + "\x00", TrailingData, ""},
		{record + "\v", TrailingData, ""},
		{record + "}", TrailingData, ""},
		{record + record, TrailingData, ""},
		{record + "\n" + record, TrailingData, ""},
		{"1 2", TrailingData, ""},
		{"\x00", MalformedJSON, ""},
		{"{", TruncatedJSON, ""},
		{`{"`, TruncatedJSON, ""},
		{`{"x"`, TruncatedJSON, ""},
		{`{"x":`, TruncatedJSON, "extra"},
		{`{"x":1`, TruncatedJSON, ""},
		{`{"x":1,`, TruncatedJSON, ""},
		{`{"timestamp":`, TruncatedJSON, "timestamp"},
		{`{"timestamp":"2026`, TruncatedJSON, "timestamp"},
		{record[:len(record)-1], TruncatedJSON, ""},
		{record[:len(record)-1] + ",}", MalformedJSON, ""},
		{"{," + record[1:], MalformedJSON, ""},
		{strings.Replace(record, ",", ",,", 1), MalformedJSON, ""},
		{strings.Replace(record, ",", " ", 1), MalformedJSON, ""},
		{strings.Replace(record, ":", " ", 1), MalformedJSON, ""},
		{strings.Replace(record, ":", "=", 1), MalformedJSON, ""},
		{strings.Replace(record, `"timestamp"`, `timestamp`, 1), MalformedJSON, ""},
		{strings.Replace(record, `"timestamp"`, `'timestamp'`, 1), MalformedJSON, ""},
		{"/*c*/" + record, MalformedJSON, ""},
		{"[]", NotAnObject, ""},
		{"[\"\x80\"]", InvalidUTF8, ""},
		{"[" + record + "]", NotAnObject, ""},
		{"null", NotAnObject, ""},
		{`"text"`, NotAnObject, ""},
		{"0", NotAnObject, ""},
		{"true", NotAnObject, ""},
		{"[1,", TruncatedJSON, ""},
		{"{}", MissingField, "timestamp"},
		{in("[1,]"), MalformedJSON, "extra"},
		{in("[,1]"), MalformedJSON, "extra"},
		{in("[1 2]"), MalformedJSON, "extra"},
		{in("[1}"), MalformedJSON, "extra"},
		{in(`{"a":1]`), MalformedJSON, "extra"},
		{in(""), MalformedJSON, "extra"},
		{in("nul"), MalformedJSON, "extra"},
		{in("nulls"), MalformedJSON, ""},
		{in("True"), MalformedJSON, "extra"},
		{in("NaN"), MalformedJSON, "extra"},
		{in("-Infinity"), MalformedJSON, "extra"},
		{`{"x":fals`, TruncatedJSON, "extra"},
		{`{"x":-`, TruncatedJSON, "extra"},
		{`{"x":1e`, TruncatedJSON, "extra"},
		{in(`[true,false,null,{},[],"",-0,0.0e-0]`), "", ""},
		{in(nested(MaxDepth - 1)), "", ""},
		{in(nested(MaxDepth)), TooDeep, "extra"},
		{nested(MaxDepth), NotAnObject, ""},
		{nested(MaxDepth + 1), TooDeep, ""},
		{strings.Repeat(`{"":`, MaxDepth+1), TooDeep, "extra"},
		{strings.Repeat("[", 1_000_000), TooDeep, ""},
	}
}

// tokenSamples are strings and numbers, alike for every kind.
func tokenSamples(kind Kind) []sample {
	in := func(value string) string { return with(kind, `"x":`+value) }
	bad := func(why Reason, values ...string) (out []sample) {
		for _, v := range values {
			out = append(out, sample{in(v), why, "extra"})
		}
		return out
	}
	out := []sample{
		{in(`"\"\\\/\b\f\n\r\t\u0000\uFFFF\ud83d\udE00"`), "", ""},
		{in("\"\x7f\u0080ü€😀\U0010ffff\""), "", ""},
		{`{"x":"` + "\xe2\x82", TruncatedJSON, "extra"},
		{`{"x":"\`, TruncatedJSON, "extra"},
		{`{"x":"\u00`, TruncatedJSON, "extra"},
		{`{"x":"\ud83d`, TruncatedJSON, "extra"},
		{`{"x":"\ud83d\`, TruncatedJSON, "extra"},
		{`{"x":"\ud83d\ude`, TruncatedJSON, "extra"},
		{with(kind, "\"\xff\":1"), InvalidUTF8, ""},
		{with(kind, `"\ud800":1`), InvalidUTF8, ""},
	}
	out = append(out, bad(MalformedJSON, "\"\n\"", "\"\x00\"", "\"1234567\x1f\"", `"\x"`, `"\u12g4"`, `"\U0041"`, `"\ud83d\uzzzz"`, `'a'`)...)
	out = append(out, bad(InvalidUTF8, "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"1234567890\xe2\x82\"", "\"\\n\xff\"",
		`"\ud800"`, `"\udc00"`, `"\ud800x"`, `"\ud800\n"`, `"\ud800\ud800"`, `"\udc00\ud800"`, `["\ud800"]`, `{"\ud800":1}`)...)
	out = append(out, bad(MalformedJSON, "+1", ".5", "1.", "1.e1", "- 1", "--1", "1e+", "1..2")...)
	for _, v := range []string{"01", "-01", "1a", "0x1", "1_000", "1.5.5", "1e5.5"} { // a number, then something else
		out = append(out, sample{in(v), MalformedJSON, ""})
	}
	for _, v := range []string{"0", "-0", "1.5e300", "1e400", "123456789012345678901234567890", "1E-5", "0e+9"} {
		out = append(out, sample{in(v), "", ""})
	}
	return append(out, []sample{
		{with(kind, `"x":1,"x":2`), DuplicateKey, "extra"},
		{with(kind, `"x":1,"\u0078":2`), DuplicateKey, "extra"},
		{with(kind, `"timestamp":1`), DuplicateKey, "timestamp"},
		{with(kind, `"\u0074imestamp":1`), DuplicateKey, "timestamp"},
		{with(kind, `"service":null,"service":"a"`), DuplicateKey, "service"},
		{with(kind, `"":1,"":2`), DuplicateKey, "extra"},
		{with(kind, `"x":1,"X":2,"x ":3,"":4`), "", ""},
		{in(`{"a":{"b":1,"b":1}}`), DuplicateKey, "extra"},
		{in(`[[{"b":1,"c":2,"b":1}]]`), DuplicateKey, "extra"},
		{in(`{"a":1,"b":{"a":1,"b":2},"c":{"a":1}}`), "", ""},
		{in(`{"a":1,"b":{"a":1,"b":2},"a":1}`), DuplicateKey, "extra"},
	}...)
}

func TestEveryBadTextHasItsReason(t *testing.T) {
	for _, kind := range Kinds() {
		block := NewBlock(kind)
		for _, s := range samples(kind) {
			rows, bytes := block.Rows(), block.Bytes()
			err := block.Append([]byte(s.text), origin(0))
			if s.want == "" {
				require.NoError(t, err, "%s %.300q", kind, s.text)
				require.Equal(t, rows+1, block.Rows())
				continue
			}
			var bad *Rejected
			require.ErrorAs(t, err, &bad, "%s %.300q", kind, s.text)
			require.Equal(t, s.want, bad.Reason, "%s %.300q", kind, s.text)
			require.Equal(t, s.field, bad.Field, "%s %.300q", kind, s.text)
			require.LessOrEqual(t, bad.Offset, len(s.text))
			require.Less(t, len(bad.Error()), 100)
			require.Equal(t, rows, block.Rows(), "nothing of a rejected record stays")
			require.Equal(t, bytes, block.Bytes(), "nothing of a rejected record stays")
		}
		for _, c := range block.columns {
			require.Equal(t, block.Rows(), c.Rows())
		}
	}
}

func TestEveryReasonHasASample(t *testing.T) {
	found := map[Reason]bool{}
	for _, s := range append(append(samples(Log), samples(Metric)...), samples(Event)...) {
		found[s.want] = true
	}
	for _, r := range Reasons() {
		require.True(t, found[r], r)
		delete(found, r)
	}
	require.Equal(t, map[Reason]bool{"": true}, found, "Reasons lists them all")
}
