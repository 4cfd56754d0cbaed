package record

import (
	"bytes"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// pairs is a row of a Map column, in order.
type pairs [][2]string

// expect is the record's row as package documentation and other libraries say:
// column → string, pairs, int64, float64 or uuid.UUID. syntax tells whether the
// error is one of the text.
func expect(kind Kind, text []byte) (row map[string]any, syntax bool, err error) {
	if err := strict(text); err != nil {
		return nil, true, err
	}
	if jsontext.Value(text).Kind() != '{' {
		return nil, false, fmt.Errorf("not an object")
	}
	members, err := membersOf(text)
	if err != nil {
		return nil, true, err
	}
	row = map[string]any{}
	for _, f := range kind.fields() {
		value, given := members.of[f.name]
		delete(members.of, f.name)
		if given = given && value.Kind() != 'n'; !given && f.required {
			return nil, false, fmt.Errorf("%s is required", f.name)
		} else if !given {
			value = nil
		}
		if row[f.name], err = expectField(f.shape, value); err != nil {
			return nil, false, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	var extra []string
	for _, name := range members.order {
		if value, ok := members.of[name]; ok {
			extra = append(extra, strconv.Quote(name)+string(value))
		}
	}
	row[extraField] = strings.Join(extra, ",")
	return row, false, nil
}

type members struct {
	order []string
	of    map[string]jsontext.Value
}

func membersOf(text []byte) (members, error) {
	m := members{of: map[string]jsontext.Value{}}
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := d.ReadToken(); err != nil {
		return m, err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return m, err
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return m, err
		}
		m.order = append(m.order, key)
		m.of[key] = bytes.Clone(value)
	}
	return m, nil
}

// expectField is what the column holds; a nil value is an absent one.
func expectField(s shape, value jsontext.Value) (any, error) {
	text, isText := "", value.Kind() == '"'
	if isText {
		if err := json.Unmarshal(value, &text); err != nil {
			return nil, err
		}
	}
	switch absent := value == nil; {
	case s == timeShape && isText:
		return expectTime(text)
	case s == timeShape && value.Kind() == '0':
		return expectUnix(string(value))
	case s == idShape && absent:
		return uuid.UUID{}, nil
	case s == idShape && isText && len(text) == 36:
		return uuid.Parse(text)
	case s == numberShape && value.Kind() == '0':
		var f float64
		err := json.Unmarshal(value, &f)
		return f, err
	case s == mapShape && absent:
		return pairs{}, nil
	case s == mapShape && value.Kind() == '{':
		return expectPairs(value)
	case s == jsonShape:
		return string(value), nil
	case (s == wordShape || s == textShape) && (isText || absent):
		return text, nil
	}
	return nil, fmt.Errorf("%s is no value for it", value)
}

func expectPairs(value jsontext.Value) (pairs, error) {
	m, err := membersOf(value)
	if err != nil {
		return nil, err
	}
	out := pairs{}
	for _, key := range m.order {
		v := m.of[key]
		text := string(v)
		switch v.Kind() {
		case 'n', '{', '[':
			return nil, fmt.Errorf("%s is no scalar", v)
		case '"':
			if err := json.Unmarshal(v, &text); err != nil {
				return nil, err
			}
		default: // as it is written
		}
		out = append(out, [2]string{key, text})
	}
	return out, nil
}

// The standard library is lenient: a comma, an hour of one digit, an offset of
// 24 hours. It knows which dates there are.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func expectTime(text string) (any, error) {
	if !rfc3339.MatchString(text) {
		return nil, fmt.Errorf("%q is not RFC 3339", text)
	}
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
	if err != nil {
		return nil, err
	}
	if t.Year() < 1970 || t.Year() > 2261 {
		return nil, fmt.Errorf("year %d", t.Year())
	}
	return t.UnixMicro(), nil
}

func expectUnix(text string) (any, error) {
	v, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("%s is no number", text)
	}
	below := func(exp int64) bool {
		return v.Cmp(new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(exp), nil))) < 0
	}
	switch {
	case below(11):
		v.Mul(v, big.NewRat(1_000_000, 1))
	case below(14):
		v.Mul(v, big.NewRat(1_000, 1))
	case below(17):
	default:
		v.Mul(v, big.NewRat(1, 1_000))
	}
	end := time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	if v.Sign() < 0 || v.Cmp(big.NewRat(end, 1)) >= 0 {
		return nil, fmt.Errorf("%s is out of range", text)
	}
	return new(big.Int).Quo(v.Num(), v.Denom()).Int64(), nil
}
