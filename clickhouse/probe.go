package clickhouse

import (
	"context"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
)

// Probe is a table that refuses what another one would refuse because of a
// value, and keeps nothing: a temporary clone with the engine Null, which has
// the columns and the CHECK constraints, but no parts and no views. It is for
// one goroutine.
type Probe struct {
	inserter *Inserter
	table    string
	conn     *conn // the session that the clone lives in; nil: none
	tries    int
}

// Probe makes no connection before the first Try.
func (i *Inserter) Probe(table string) *Probe { return &Probe{inserter: i, table: table} }

// Tries is how many times rows were sent.
func (p *Probe) Tries() int { return p.tries }

// Close ends the session, and the clone with it.
func (p *Probe) Close() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}

const clone = "ingest_probe"

// Try asks whether the table would take the rows: nil if their values are fine.
// Nothing is stored. The error is a *Failure; of class Rejected it says that one
// of the rows, at least, is at fault. It takes the grant to create temporary
// tables of any engine.
func (p *Probe) Try(ctx context.Context, in proto.Input) error {
	if len(in) == 0 || in[0].Data.Rows() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, InsertTimeout)
	defer cancel()
	if err := p.open(ctx); err != nil {
		return err
	}
	p.tries++
	err := p.conn.do(ctx, ch.Query{Body: into("", clone, in), Input: in, Settings: []ch.Setting{{Key: "async_insert", Value: "0"}}})
	if err != nil {
		p.Close() // a session is not used again after a failure
		return Wrap(err, "probe %s", p.table)
	}
	return nil
}

func (p *Probe) open(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	c, err := p.inserter.dial(ctx)
	if err != nil {
		return err
	}
	target := Quote(p.inserter.cfg.Database) + "." + Quote(p.table)
	if err := c.do(ctx, ch.Query{Body: "CREATE TEMPORARY TABLE " + clone + " AS " + target + " ENGINE = Null"}); err != nil {
		_ = c.Close()
		return Wrap(err, "make a probe of %s", p.table)
	}
	p.conn = c
	return nil
}
