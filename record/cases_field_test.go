package record

import (
	"fmt"
	"strings"
)

func samples(kind Kind) []sample {
	out := append(textSamples(kind), tokenSamples(kind)...)
	out = append(out, timeSamples(kind)...)
	out = append(out, typeSamples(kind)...)
	return append(out, prioritySamples(kind)...)
}

// at is the minimal record with another timestamp.
func at(kind Kind, value string) string {
	return strings.Replace(minimal(kind), `"timestamp":0`, `"timestamp":`+value, 1)
}

func timeSamples(kind Kind) []sample {
	var out []sample
	add := func(want Reason, quote string, values ...string) {
		for _, v := range values {
			s := sample{at(kind, quote+v+quote), want, "timestamp"}
			if want == "" {
				s.field = ""
			}
			out = append(out, s)
		}
	}
	add("", `"`,
		"1970-01-01T00:00:00Z", "1970-01-01T00:00:00+23:59", "2261-12-31T23:59:59.999999999999-23:59", "2026-09-18t05:43:03z",
		"2026-09-18T05:43:03.1Z", "2026-09-18T05:43:03.123456789-00:00", "2024-02-29T23:59:59Z", "2000-02-29T00:00:00Z", "2260-02-29T00:00:00+05:30",
		`2026-09-18\u005405:43:03Z`)
	add(BadTime, `"`,
		"", "now", "1758175383", "2026-09-18", "2026-09-18T05:43Z", "2026-09-18T05:43:03", "2026-09-18 05:43:03Z", "2026-09-18T05:43:03,5Z", "2026-09-18T05:43:03.Z",
		"2026-09-18T05:43:03+0200", "2026-09-18T05:43:03+02", "2026-09-18T05:43:03+24:00", "2026-09-18T05:43:03+00:60", "2026-09-18T05:43:03 Z", "2026-09-18T05:43:03ZZ",
		"2026-09-18T24:00:00Z", "2026-09-18T23:60:00Z", "2016-12-31T23:59:60Z", "2026-00-18T05:43:03Z", "2026-13-18T05:43:03Z", "2026-09-00T05:43:03Z",
		"2026-09-31T05:43:03Z", "2026-02-29T05:43:03Z", "2100-02-29T05:43:03Z", "2026-9-18T05:43:03Z", "+2026-09-18T05:43:03Z", "12026-09-18T05:43:03Z", "2026-09-18T05:43:03Z ",
		"0x26-09-18T05:43:03Z", "2026-09-18T0a:43:03Z", "２０２６-09-18T05:43:03Z", "1969-02-29T00:00:00Z", `2026-09-18T05:43:03Z\n`)
	add(TimeOutOfRange, `"`, "1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2262-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z")
	add("", "",
		"0", "-0", "-0.0e5", "0e999", "1", "1e-400", "1758175383", "1758175383.123456789", "1.758175383e9", "17581753830e-1", "9214646399.999999", "9214646399.9999999",
		"100000000000", "1e11", "100000000000.5", "1758175383123", "9214646399999.999999", "1e14", "1758175383123456", "9214646399999999.9",
		"1e17", "1758175383123456789", "9214646399999999999", "9214646399999999999.999", "0.00000000000000000001758175383e29")
	add(TimeOutOfRange, "",
		"-1", "-0.001", "-1e-400", "9214646400", "99999999999", "99999999999.9", "9214646400000", "99999999999999", "9214646400000000", "99999999999999999.9",
		"9214646400000000000", "10000000000000000000", "1e20", "1e999", "123456789012345678901234567890")
	add(WrongType, "", "true", "[]", "{}", `["2026-09-18T05:43:03Z"]`, `{"seconds":1}`)
	add(NullField, "", "null")
	return out
}

// typeSamples puts every type of JSON into every field.
func typeSamples(kind Kind) []sample {
	var out []sample
	good := map[shape]string{
		timeShape: `"`, wordShape: `"`, textShape: `"`, idShape: `"`, numberShape: `0`, mapShape: `{`, jsonShape: `"0tf[{`,
	}
	for _, f := range kind.fields() {
		for _, v := range []string{`"1970-01-01T00:00:00Z"`, "0", "true", "false", "[]", "{}", "null"} {
			s := sample{replace(kind, f.name, v), "", ""}
			switch {
			case v == "null" && f.required:
				s.want, s.field = NullField, f.name
			case v == "null" || f.shape == timeShape && v == "0":
			case !strings.Contains(good[f.shape], v[:1]):
				s.want, s.field = WrongType, f.name
			case f.shape == idShape:
				s.want, s.field = BadEventID, f.name
			}
			out = append(out, s)
		}
		if f.required {
			out = append(out, sample{replace(kind, f.name+"s", "0"), MissingField, f.name})
		}
	}
	for _, v := range []string{"", "0198f3c17a2b7c3d8e4fa1b2c3d4e5f6", "{0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6}", "0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5fg", "0198f3c1-7a2b-7c3d-8e4fa-1b2c3d4e5f6"} {
		out = append(out, sample{with(kind, `"event_id":"`+v+`"`), BadEventID, "event_id"})
	}
	for _, f := range kind.fields() {
		if f.shape == numberShape {
			for v, want := range map[string]Reason{"1.7976931348623157e308": "", "-1.7976931348623157e308": "", "5e-324": "", "1e-999": "", "-0": "", "1e309": NumberOutOfRange, "-1e309": NumberOutOfRange} {
				out = append(out, sample{replace(kind, f.name, v), want, map[bool]string{true: f.name}[want != ""]})
			}
		}
		if f.shape == mapShape {
			out = append(out, mapSamples(kind, f.name)...)
		}
	}
	return append(out, sample{full(kind), "", ""}, sample{minimal(kind), "", ""})
}

func mapSamples(kind Kind, name string) []sample {
	in := func(members string) string { return with(kind, fmt.Sprintf(`"%s":{%s}`, name, members)) }
	return []sample{
		{in(`"a":"b","":"","n":-1.50E+3,"t":true,"f":false,"big":1e999`), "", ""},
		{in(`"a":null`), WrongType, name},
		{in(`"a":[]`), WrongType, name},
		{in(`"a":{}`), WrongType, name},
		{in(`"a":{"b":1,"b":1}`), DuplicateKey, name},
		{in(`"a":1,"a":2`), DuplicateKey, name},
		{in(`"a":1,"\u0061":2`), DuplicateKey, name},
		{in(`"a":1,`), MalformedJSON, name},
		{in(`"a":"\ud800"`), InvalidUTF8, name},
		{in(`"a":nil`), MalformedJSON, name},
	}
}

// prioritySamples have several faults.
func prioritySamples(kind Kind) []sample {
	return []sample{
		{`{"timestamp":null,"service":1}`, NullField, "timestamp"},
		{`{"service":1,"timestamp":null}`, WrongType, "service"},
		{`{"event_id":"x","timestamp":"x"}`, BadEventID, "event_id"},
		{`{"timestamp":null,"service":1`, TruncatedJSON, ""},
		{`{"timestamp":null,"x":1,"x":1}`, DuplicateKey, "extra"},
		{`{"timestamp":null} x`, TrailingData, ""},
		{`["` + "\xff" + `",`, InvalidUTF8, ""},
		{`{"x":1,"x":` + "\xff", DuplicateKey, "extra"},
		{`{"service":[{"a":1,"a":2}]}`, DuplicateKey, "service"},
		{`{"service":"a"}`, MissingField, "timestamp"},
		{manyKeys(kind, 100), "", ""},
		{manyKeys(kind, 100, `"k0":1`), DuplicateKey, "extra"},
		{manyKeys(kind, 100, `"k99":1`), DuplicateKey, "extra"},
		{manyKeys(kind, fewNames), "", ""},
		{manyKeys(kind, fewNames, `"k3":1`), DuplicateKey, "extra"},
		{manyKeys(kind, fewNames, `"a":1`, `"k3":1`), DuplicateKey, "extra"},
		{manyKeys(kind, fewNames-1, `"k3":1`), DuplicateKey, "extra"},
		{manyKeys(kind, 5000), "", ""},
	}
}
