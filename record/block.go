package record

import (
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/ai-backlog/ingest/clickhouse"
)

// Block collects records of one kind as the columns of one native block. It is
// for one goroutine, and while it is being sent for nobody. Once it has grown,
// Append allocates nothing; Reset keeps the memory for the next block.
type Block struct {
	dec     decoder
	own     []clickhouse.Column // by field
	extra   *clickhouse.Strings
	at      coordinates
	columns []clickhouse.Column // all of them
	input   proto.Input
	rows    int
	last    int64 // microseconds
}

// NewBlock returns an empty block for records of the kind, which is one of Kinds.
func NewBlock(kind Kind) *Block {
	b := &Block{dec: decoder{fields: kind.fields()}, extra: clickhouse.NewStrings(), at: newCoordinates()}
	for _, f := range b.dec.fields {
		c := f.shape.column()
		b.own = append(b.own, c)
		b.input = append(b.input, proto.InputColumn{Name: f.name, Data: c})
	}
	b.input = append(b.input, proto.InputColumn{Name: extraField, Data: b.extra})
	b.input = append(b.input, b.at.input()...)
	for _, in := range b.input {
		if c, ok := in.Data.(clickhouse.Column); ok { // all are
			b.columns = append(b.columns, c)
		}
	}
	return b
}

// Append decodes a Kafka message's value and adds it as a row. It keeps no
// reference to value. The error is a *Rejected, and then the block is as it was.
func (b *Block) Append(value []byte, at Coordinates) error {
	bad := b.dec.decode(value)
	if bad == nil {
		b.commit(at)
	}
	b.dec.reset()
	if bad != nil {
		return bad
	}
	return nil
}

func (b *Block) commit(at Coordinates) {
	d := &b.dec
	for i, c := range b.own {
		switch c := c.(type) {
		case *clickhouse.Strings:
			c.Append(d.texts[i])
		case *clickhouse.Words:
			c.Append(d.texts[i])
		case *clickhouse.Int64s:
			c.Append(d.micros)
		case *clickhouse.Float64s:
			c.Append(d.float)
		case *clickhouse.UUIDs:
			c.Append(d.id)
		case *clickhouse.Map:
			for _, p := range d.pairs {
				c.Put(p.key, p.value)
			}
			c.EndRow()
		}
	}
	if len(d.extra) > 0 {
		d.extra = append(d.extra, '}')
	}
	b.extra.Append(d.extra)
	b.at.append(at)
	b.last = d.micros
	b.rows++
}

// Rows is the number of records appended since the last Reset.
func (b *Block) Rows() int { return b.rows }

// LastTime is the timestamp of the row that was appended last.
func (b *Block) LastTime() time.Time { return time.UnixMicro(b.last) }

// KafkaMillis is Kafka's timestamp of a row, as it is stored, in milliseconds since 1970.
func (b *Block) KafkaMillis(row int) int64 { return b.at.timestamp.At(row) }

// Bytes is about the memory that the rows take, and about what goes over the
// wire without compression.
func (b *Block) Bytes() int {
	n := 0
	for _, c := range b.columns {
		n += c.Size()
	}
	return n
}

// Input is the block's columns, for an INSERT that names them. It stays valid,
// and shows what is appended later.
func (b *Block) Input() proto.Input { return b.input }

// Reset drops all rows.
func (b *Block) Reset() {
	for _, c := range b.columns {
		c.Reset()
	}
	b.rows = 0
}
