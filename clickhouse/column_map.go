package clickhouse

import (
	"encoding/binary"

	"github.com/ClickHouse/ch-go/proto"
)

// Map is a Map(LowCardinality(String), String) column. A row is any number of
// Put, then EndRow; keys keep their order and are not checked for repeats.
type Map struct {
	ends   wire // where each row ends, counted in pairs
	keys   *Words
	values *Strings
}

// NewMap returns an empty Map(LowCardinality(String), String) column.
func NewMap() *Map { return &Map{keys: NewWords(), values: NewStrings()} }

// Put copies a pair into the row that the next EndRow closes.
func (c *Map) Put(key, value []byte) {
	c.keys.Append(key)
	c.values.Append(value)
}

// EndRow closes the row: the pairs put since the last one are its own.
func (c *Map) EndRow() {
	c.ends.buf = binary.LittleEndian.AppendUint64(c.ends.buf, uint64(c.keys.Rows())) //nolint:gosec // not negative
	c.ends.rows++
}

// Type implements proto.ColInput.
func (c *Map) Type() proto.ColumnType {
	return proto.ColumnTypeMap.Sub(c.keys.Type(), c.values.Type())
}

// Rows is the number of rows closed since the last Reset.
func (c *Map) Rows() int { return c.ends.Rows() }

// Size implements Column.
func (c *Map) Size() int { return c.ends.Size() + c.keys.Size() + c.values.Size() }

// Reset implements Column.
func (c *Map) Reset() {
	c.ends.Reset()
	c.keys.Reset()
	c.values.Reset()
}

// EncodeState implements proto.StateEncoder: the keys have one.
func (c *Map) EncodeState(b *proto.Buffer) { c.keys.EncodeState(b) }

// EncodeColumn implements proto.ColInput.
func (c *Map) EncodeColumn(b *proto.Buffer) {
	c.ends.EncodeColumn(b)
	c.keys.EncodeColumn(b)
	c.values.EncodeColumn(b)
}

// WriteColumn implements proto.ColInput.
func (c *Map) WriteColumn(w *proto.Writer) {
	c.ends.WriteColumn(w)
	c.keys.WriteColumn(w)
	c.values.WriteColumn(w)
}
