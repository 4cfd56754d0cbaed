package client

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

// row is what a record's columns hold: int64 microseconds, string, uuid.UUID, the
// bits of a float64, map[string]string.
type row map[string]any

// stored is the row that the pipeline makes of the value, as ch-go reads it from
// the wire. The coordinates are left out.
func stored(t *testing.T, kind record.Kind, value []byte) row {
	t.Helper()
	block := record.NewBlock(kind)
	require.NoError(t, block.Append(value, record.Coordinates{Timestamp: time.UnixMilli(0)}), "%.2000q", value)
	out := row{}
	for _, in := range block.Input() {
		if strings.HasPrefix(in.Name, "_") {
			continue
		}
		var buf proto.Buffer
		if s, ok := in.Data.(proto.StateEncoder); ok {
			s.EncodeState(&buf)
		}
		in.Data.EncodeColumn(&buf)
		col, get := reader(t, in.Data.Type())
		r := proto.NewReader(bytes.NewReader(buf.Buf))
		if s, ok := col.(proto.StateDecoder); ok {
			require.NoError(t, s.DecodeState(r))
		}
		require.NoError(t, col.DecodeColumn(r, 1), in.Name)
		out[in.Name] = get()
	}
	return out
}

func reader(t *testing.T, kind proto.ColumnType) (proto.ColResult, func() any) {
	t.Helper()
	switch kind.Base() {
	case proto.ColumnTypeDateTime64:
		c := new(proto.ColInt64)
		return c, func() any { return c.Row(0) }
	case proto.ColumnTypeFloat64:
		c := new(proto.ColFloat64)
		return c, func() any { return math.Float64bits(c.Row(0)) }
	case proto.ColumnTypeUUID:
		c := new(proto.ColUUID)
		return c, func() any { return c.Row(0) }
	case proto.ColumnTypeLowCardinality:
		c := new(proto.ColStr).LowCardinality()
		return c, func() any { return c.Row(0) }
	case proto.ColumnTypeMap:
		c := proto.NewMap[string, string](new(proto.ColStr).LowCardinality(), new(proto.ColStr))
		return c, func() any {
			require.Len(t, c.RowKV(0), len(c.Row(0)), "a key is there twice")
			return c.Row(0)
		}
	case proto.ColumnTypeString:
		c := new(proto.ColStr)
		return c, func() any { return c.Row(0) }
	}
	require.FailNow(t, "no reader", kind)
	return nil, nil
}

// sample is a struct in other words, from which the tests know what has to become
// of it.
type sample struct {
	kind   record.Kind
	row    row            // its columns
	faults []InvalidError // what is wrong with it, in the order of the fields
	// naive is its JSON as a program writes it that checks nothing; nil if JSON
	// cannot say it.
	naive []byte
}

// check fails unless what was encoded, behind prefix, is stored with every field
// equal, or was refused for the first fault, which is one for the pipeline too.
func (s *sample) check(t *testing.T, prefix string, dst []byte, err error) {
	t.Helper()
	if len(s.faults) == 0 {
		require.NoError(t, err)
		require.Equal(t, prefix, string(dst[:len(prefix)]))
		value := dst[len(prefix):]
		require.True(t, jsontext.Value(value).IsValid(), "%.2000q", value)
		require.Equal(t, s.row, stored(t, s.kind, value), "%.2000q", value)
		return
	}
	var refused *InvalidError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, s.faults[0], *refused)
	require.Equal(t, prefix, string(dst), "a refused record leaves nothing behind")
	if s.naive == nil {
		return
	}
	var bad *record.Rejected
	require.ErrorAs(t, record.NewChecker(s.kind).Check(s.naive), &bad, "%.2000q", s.naive)
	require.Contains(t, s.faults, InvalidError{s.kind, bad.Field, bad.Reason}, "%.2000q", s.naive)
}

// newSample begins with what all kinds have.
func newSample(kind record.Kind, at time.Time, id uuid.UUID) *sample {
	s := &sample{kind: kind, row: row{"event_id": id, "extra": "", "timestamp": at.UnixMicro()}}
	if year := at.UTC().Year(); year < 1970 || year > 2261 {
		s.fault("timestamp", record.TimeOutOfRange)
	}
	s.naive = at.UTC().AppendFormat([]byte(`{"timestamp":"`), time.RFC3339Nano)
	s.naive = append(s.naive, '"')
	return s
}

// end closes the naive JSON. There is none for a year that RFC 3339 has not.
func (s *sample) end(at time.Time) {
	if year := at.UTC().Year(); s.naive == nil || year < 0 || year > 9999 {
		s.naive = nil
		return
	}
	s.naive = append(s.naive, '}')
}

func (s *sample) fault(field string, why record.Reason) {
	s.faults = append(s.faults, InvalidError{s.kind, field, why})
}

func (s *sample) required(field, text string) {
	if text == "" {
		s.fault(field, record.MissingField)
	}
	s.text(field, text)
}

func (s *sample) text(field, text string) {
	s.row[field] = text
	if text == "" && field != "message" {
		return
	}
	if !utf8.ValidString(text) {
		s.fault(field, record.InvalidUTF8)
	}
	s.naive = append(s.naive, `,"`+field+`":`+quoteNaively(text)...)
}

func (s *sample) pairs(field string, pairs map[string]string) {
	s.row[field] = map[string]string{}
	if pairs != nil {
		s.row[field] = pairs
	}
	bad, members := false, []string{}
	for k, v := range pairs {
		bad = bad || !utf8.ValidString(k) || !utf8.ValidString(v)
		members = append(members, quoteNaively(k)+":"+quoteNaively(v))
	}
	if bad {
		s.fault(field, record.InvalidUTF8)
	}
	s.naive = append(s.naive, `,"`+field+`":{`+strings.Join(members, ",")+`}`...)
}

// quoteNaively lets through what is not UTF-8.
func quoteNaively(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < ' ' || c == '"' || c == '\\' {
			b.WriteString(`\u00` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
		} else {
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}
