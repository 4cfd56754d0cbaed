package clickhouse

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// sent is the column as it goes out, both ways, which have to be the same.
func sent(t *testing.T, c proto.ColInput) []byte {
	t.Helper()
	state := func(b *proto.Buffer) {
		if s, ok := c.(proto.StateEncoder); ok {
			s.EncodeState(b)
		}
	}
	var buf proto.Buffer
	state(&buf)
	c.EncodeColumn(&buf)

	var out bytes.Buffer
	w := proto.NewWriter(&out, &proto.Buffer{})
	w.ChainBuffer(state)
	c.WriteColumn(w)
	_, err := w.Flush()
	require.NoError(t, err)
	require.Equal(t, buf.Buf, out.Bytes(), "compressed and plain blocks carry the same bytes")
	return buf.Buf
}

func decode(t *testing.T, c Column, into proto.ColResult) {
	t.Helper()
	r := proto.NewReader(bytes.NewReader(sent(t, c)))
	if s, ok := into.(proto.StateDecoder); ok {
		require.NoError(t, s.DecodeState(r))
	}
	require.NoError(t, into.DecodeColumn(r, c.Rows()))
	_, err := r.ReadByte()
	require.Error(t, err, "bytes are left over")
}

func TestWordsOfEveryKeyWidthDecode(t *testing.T) {
	c := NewWords()
	for _, distinct := range []int{1, 255, 256, 257, 65535, 65536, 65537, 200_000} {
		c.Reset()
		var want []string
		for i := range distinct + distinct/2 + 3 {
			want = append(want, fmt.Sprint("word-", i%distinct))
			c.Append([]byte(want[i]))
		}
		got := new(proto.ColStr).LowCardinality()
		decode(t, c, got)
		require.Equal(t, want, got.Values, "%d distinct", distinct)
		require.Len(t, c.dict.words, distinct, "each word is sent once")
	}
}

func TestWordsAreTheBytesThatChGoSends(t *testing.T) {
	c, golden := NewWords(), new(proto.ColStr).LowCardinality()
	for _, v := range []string{"info", "", "info", "warn", "warn", "", "Grüße"} {
		c.Append([]byte(v))
		golden.Append(v)
	}
	require.NoError(t, golden.Prepare())
	require.Equal(t, golden.Type(), c.Type())
	require.Equal(t, sent(t, golden), sent(t, c))
}

func TestMapDecodes(t *testing.T) {
	rows := [][]proto.KV[string, string]{
		{{Key: "region", Value: "eu"}, {Key: "pod", Value: ""}},
		{},
		{{Key: "region", Value: "us"}},
	}
	c := NewMap()
	for _, row := range rows {
		for _, kv := range row {
			c.Put([]byte(kv.Key), []byte(kv.Value))
		}
		c.EndRow()
	}
	got := proto.NewMap[string, string](new(proto.ColStr).LowCardinality(), new(proto.ColStr))
	decode(t, c, got)
	require.Equal(t, got.Type(), c.Type())
	for i, row := range rows {
		require.Equal(t, append([]proto.KV[string, string]{}, row...), append([]proto.KV[string, string]{}, got.RowKV(i)...))
	}
}

func TestFixedColumnsAreTheBytesThatChGoSends(t *testing.T) {
	id := uuid.MustParse("0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6")
	u, i32, i64, f64 := NewUUIDs(), NewInt32s(), NewMicros(), NewFloat64s()
	for _, v := range []int64{0, -1, 1_758_175_383_000_001} {
		u.Append(id)
		i32.Append(int32(v))
		i64.Append(v)
		f64.Append(float64(v) / 3)
	}
	require.Equal(t, sent(t, proto.ColUUID{id, id, id}), sent(t, u))
	require.Equal(t, sent(t, proto.ColInt64{0, -1, 1_758_175_383_000_001}), sent(t, i64))
	v := int64(1_758_175_383_000_001)
	require.Equal(t, sent(t, proto.ColInt32{0, -1, int32(v)}), sent(t, i32))
	require.Equal(t, sent(t, proto.ColFloat64{0, -1. / 3, float64(v) / 3}), sent(t, f64))
}

func TestStringsDecodeAtEveryLengthOfTheirLength(t *testing.T) {
	c := NewStrings()
	var want []string
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 1 << 21} {
		want = append(want, string(bytes.Repeat([]byte{'x'}, n)))
		c.Append([]byte(want[len(want)-1]))
	}
	got := new(proto.ColStr)
	decode(t, c, got)
	for i, w := range want {
		require.Equal(t, w, got.Row(i))
	}
}

func TestEmptyAndResetColumnsSendNoRow(t *testing.T) {
	m := NewMap()
	m.Put([]byte("k"), []byte("v"))
	m.EndRow()
	w := NewWords()
	w.Append([]byte("v"))
	s := NewStrings()
	s.Append([]byte("v"))
	for _, c := range []Column{m, w, s} {
		require.Positive(t, c.Size())
		c.Reset()
		require.Zero(t, c.Rows())
		require.Zero(t, c.Size())
		var buf proto.Buffer
		c.EncodeColumn(&buf)
		require.Empty(t, buf.Buf)
	}
}

func TestAppendingAllocatesNothingOnceGrown(t *testing.T) {
	m, w := NewMap(), NewWords()
	fill := func() {
		m.Reset()
		w.Reset()
		var key [8]byte
		for i := range 2000 {
			key[0], key[1] = byte(i), byte(i>>8)
			w.Append(key[:])
			m.Put(key[:], key[:])
			m.EndRow()
		}
	}
	fill()
	require.Zero(t, testing.AllocsPerRun(10, fill))
}
