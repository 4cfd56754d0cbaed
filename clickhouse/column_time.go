package clickhouse

import (
	"encoding/binary"

	"github.com/ClickHouse/ch-go/proto"
)

// The instants that a DateTime64 column holds, in seconds since 1970 (UTC):
// from 1900-01-01 to the end of 2299. The server does not refuse others, it
// stores another time.
const (
	MinDateTime64 = -2208988800
	MaxDateTime64 = 10413792000 - 1
)

// NewMicros returns an empty DateTime64(6, 'UTC') column. Its rows are
// microseconds since 1970 within MinDateTime64 and MaxDateTime64, unchecked.
func NewMicros() *Int64s { return &Int64s{wire{kind: "DateTime64(6, 'UTC')"}} }

// NewMillis returns an empty DateTime64(3, 'UTC') column. Its rows are
// milliseconds since 1970 within MinDateTime64 and MaxDateTime64, unchecked.
func NewMillis() *Int64s { return &Int64s{wire{kind: "DateTime64(3, 'UTC')"}} }

// UUIDs is a UUID column.
type UUIDs struct{ wire }

// NewUUIDs returns an empty UUID column.
func NewUUIDs() *UUIDs { return &UUIDs{wire{kind: proto.ColumnTypeUUID}} }

// Append adds a row; v is in the order in which a UUID is written. On the wire
// each half is a little-endian integer.
func (c *UUIDs) Append(v [16]byte) {
	c.buf = binary.LittleEndian.AppendUint64(c.buf, binary.BigEndian.Uint64(v[:8]))
	c.buf = binary.LittleEndian.AppendUint64(c.buf, binary.BigEndian.Uint64(v[8:]))
	c.rows++
}
