package record

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"
)

// stored is the block's columns as ch-go reads them from the wire: name → row →
// value, in the types that expect uses.
func stored(t *testing.T, b *Block) map[string]func(row int) any {
	t.Helper()
	var buf proto.Buffer
	for _, in := range b.Input() {
		require.Equal(t, b.Rows(), in.Data.Rows(), in.Name)
		if s, ok := in.Data.(proto.StateEncoder); ok {
			s.EncodeState(&buf)
		}
		in.Data.EncodeColumn(&buf)
	}
	out := map[string]func(int) any{}
	r := proto.NewReader(bytes.NewReader(buf.Buf))
	for _, in := range b.Input() {
		col, get := reader(in.Data.Type())
		if s, ok := col.(proto.StateDecoder); ok {
			require.NoError(t, s.DecodeState(r))
		}
		require.NoError(t, col.DecodeColumn(r, b.Rows()), in.Name)
		out[in.Name] = get
	}
	_, err := r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	return out
}

func reader(kind proto.ColumnType) (proto.ColResult, func(int) any) {
	switch kind.Base() {
	case proto.ColumnTypeDateTime64, proto.ColumnTypeInt64:
		c := new(proto.ColInt64)
		return c, func(i int) any { return c.Row(i) }
	case proto.ColumnTypeInt32:
		c := new(proto.ColInt32)
		return c, func(i int) any { return int64(c.Row(i)) }
	case proto.ColumnTypeFloat64:
		c := new(proto.ColFloat64)
		return c, func(i int) any { return c.Row(i) }
	case proto.ColumnTypeUUID:
		c := new(proto.ColUUID)
		return c, func(i int) any { return c.Row(i) }
	case proto.ColumnTypeLowCardinality:
		c := new(proto.ColStr).LowCardinality()
		return c, func(i int) any { return c.Row(i) }
	case proto.ColumnTypeMap:
		c := proto.NewMap[string, string](new(proto.ColStr).LowCardinality(), new(proto.ColStr))
		return c, func(i int) any {
			row := pairs{}
			for _, kv := range c.RowKV(i) {
				row = append(row, [2]string{kv.Key, kv.Value})
			}
			return row
		}
	default:
		c := new(proto.ColStr)
		return c, func(i int) any { return c.Row(i) }
	}
}

// rows are what the block holds, without the coordinates. Extra is taken apart,
// so that white space does not count.
func rows(t *testing.T, b *Block) []map[string]any {
	t.Helper()
	columns := stored(t, b)
	var out []map[string]any
	for i := range b.Rows() {
		row := map[string]any{}
		for name, get := range columns {
			if !strings.HasPrefix(name, "_") {
				row[name] = get(i)
			}
		}
		row[extraField] = apart(t, columns[extraField](i).(string))
		out = append(out, row)
	}
	return out
}

func apart(t *testing.T, extra string) string {
	t.Helper()
	if extra == "" {
		return ""
	}
	m, err := membersOf([]byte(extra))
	require.NoError(t, err)
	var parts []string
	for _, name := range m.order {
		parts = append(parts, strconv.Quote(name)+string(m.of[name]))
	}
	return strings.Join(parts, ",")
}
