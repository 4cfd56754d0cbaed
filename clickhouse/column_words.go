package clickhouse

import (
	"encoding/binary"

	"github.com/ClickHouse/ch-go/proto"
)

const (
	sharedDictionaries = 1      // version of the serialization, the only one there is
	additionalKeys     = 1 << 9 // the block brings its own dictionary
	updateDictionary   = 1 << 10
)

// Words is a LowCardinality(String) column: each block brings the distinct
// strings once, and rows refer to them with 1, 2 or 4 bytes, whatever their
// number needs.
type Words struct {
	dict dictionary
	rows []uint32
}

// NewWords returns an empty LowCardinality(String) column.
func NewWords() *Words { return &Words{dict: newDictionary()} }

// Append adds a row. v is copied if the block does not have it yet.
func (c *Words) Append(v []byte) {
	if n := len(c.rows); n > 0 {
		c.rows = append(c.rows, c.dict.after(c.rows[n-1], v))
		return
	}
	c.rows = append(c.rows, c.dict.index(v))
}

// Type implements proto.ColInput.
func (c *Words) Type() proto.ColumnType {
	return proto.ColumnTypeLowCardinality.Sub(proto.ColumnTypeString)
}

// Rows is the number of rows appended since the last Reset.
func (c *Words) Rows() int { return len(c.rows) }

// Size implements Column.
func (c *Words) Size() int { return len(c.dict.buf) + 4*len(c.rows) }

// Reset implements Column. The dictionary starts again: it belongs to a block.
func (c *Words) Reset() { c.dict.reset(); c.rows = c.rows[:0] }

// EncodeState implements proto.StateEncoder.
func (c *Words) EncodeState(b *proto.Buffer) { b.PutInt64(sharedDictionaries) }

// EncodeColumn implements proto.ColInput.
func (c *Words) EncodeColumn(b *proto.Buffer) {
	if len(c.rows) == 0 {
		return // not even a header, or the server is out of step
	}
	n := len(c.dict.words)
	key := proto.KeyUInt32
	switch {
	case n <= 1<<8:
		key = proto.KeyUInt8
	case n <= 1<<16:
		key = proto.KeyUInt16
	}
	b.PutInt64(additionalKeys | updateDictionary | int64(key))
	b.PutInt64(int64(n))
	b.PutRaw(c.dict.buf)
	b.PutInt64(int64(len(c.rows)))
	b.Buf = appendKeys(b.Buf, c.rows, key)
}

// appendKeys narrows the rows to the width of the key; it was chosen so that
// they fit.
func appendKeys(buf []byte, rows []uint32, key proto.CardinalityKey) []byte {
	from, width := len(buf), 1<<key
	buf = append(buf, make([]byte, width*len(rows))...)
	out := buf[from:]
	switch key {
	case proto.KeyUInt8:
		for i, v := range rows {
			out[i] = byte(v) //nolint:gosec // fits
		}
	case proto.KeyUInt16:
		for i, v := range rows {
			binary.LittleEndian.PutUint16(out[2*i:], uint16(v)) //nolint:gosec // fits
		}
	default:
		for i, v := range rows {
			binary.LittleEndian.PutUint32(out[4*i:], v)
		}
	}
	return buf
}

// WriteColumn implements proto.ColInput.
func (c *Words) WriteColumn(w *proto.Writer) { w.ChainBuffer(c.EncodeColumn) }
