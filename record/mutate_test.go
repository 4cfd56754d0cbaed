package record

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// pieces are what mutations put in: what JSON, times, UUIDs and UTF-8 are made
// of, whole and broken.
var pieces = []string{
	"", "{", "}", "[", "]", ",", ":", `"`, `\`, `\u`, `\ud800`, `\udc00`, `\u0041`, `\"`, "\x00", "\n", " ", "\t", "\x1f", "\xff", "\xc3", "é", "😀", "0", "1", "9", "-", "+", ".", "e", "E", "e5",
	"null", "true", "false", "timestamp", "attributes", "Z", "z", "T", "t", "+02:00", ".5", `"x":1,`, `"service":`, `null,`, `"timestamp":`, "00", "-02-29", "60",
}

// values are what members of generated records have.
var values = []string{
	`"2026-09-18T05:43:03Z"`, `"2024-02-29T23:59:59.123456789+05:30"`, `"2261-12-31t00:00:00z"`, `"2023-02-29T00:00:00Z"`, `"1969-01-01T00:00:00Z"`, `"2026-09-18 05:43:03Z"`,
	"0", "-0", "-1", "1758175383", "1758175383.5", "1.758175383e9", "1758175383250", "1758175383250000", "1758175383250000000", "9214646400", "99999999999", "1e11", "1e400", "-1e400", "5e-400",
	`"0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6"`, `"0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f"`, `""`, `"text"`, `"\u00e9\ud83d\ude00"`, `"\ud83d"`, `"é"`,
	"null", "true", "false", "{}", "[]", `{"a":"b"}`, `{"a":1,"b":true}`, `{"a":null}`, `{"a":1,"a":2}`, `{"a":{"b":[1,2,{"c":null}]}}`, "[1,2,3]", "nul", "01",
}

// suits is a value that the field accepts.
func suits(r *rand.Rand, s shape) string {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	switch s {
	case timeShape:
		return pick(`"2026-09-18T05:43:03Z"`, `"2024-02-29T23:59:59.123456789+05:30"`, "0", "1758175383.25", "1758175383250")
	case numberShape:
		return pick("0", "-1.5e3", "1e-9", "123456789012345678901")
	case idShape:
		return pick(`"0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6"`, "null")
	case mapShape:
		return pick("{}", `{"a":"b","c":1.50}`, `{"é":true, "":false}`, "null")
	case jsonShape:
		return pick(values[:20]...)
	default:
		return pick(`""`, `"a"`, `"é\n\ud83d\ude00"`)
	}
}

// generate is a record of mostly good members in any order.
func generate(r *rand.Rand, kind Kind) string {
	var members []string
	for _, f := range kind.fields() {
		switch n := r.IntN(100); {
		case n < 2:
			members = append(members, fmt.Sprintf("%q:%s", f.name, values[r.IntN(len(values))]))
		case n < 60 || f.required && n < 99:
			members = append(members, fmt.Sprintf("%q:%s", f.name, suits(r, f.shape)))
		}
	}
	for i := range r.IntN(3) {
		members = append(members, fmt.Sprintf(`"x%d" : %s`, i, values[r.IntN(27)]))
	}
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members, ", ") + "}"
}

// mutate changes half of the texts in one place or a few.
func mutate(r *rand.Rand, text string) []byte {
	b := []byte(text)
	for n := r.IntN(6) - 2; n > 0 && len(b) > 0; n-- {
		from := r.IntN(len(b))
		to := min(len(b), from+r.IntN(4))
		switch r.IntN(8) {
		case 0:
			b[from] ^= 1 << r.IntN(8)
		case 1:
			b = append(b[:from:from], b[to:]...)
		case 2:
			b = b[:from]
		case 3:
			b = append(b[:to:to], b[from:]...)
		case 4:
			b[from] = '0' + byte(r.IntN(10))
		default:
			b = append(b[:from:from], append([]byte(pieces[r.IntN(len(pieces))]), b[to:]...)...)
		}
	}
	return b
}
