package clickhouse

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
)

// InsertTimeout is how long one insert may run, connecting included. The client
// gives up then, and the server is told to (max_execution_time): whoever waits
// out an insert of unknown outcome counts on it.
const InsertTimeout = 60 * time.Second

// Insert sends the columns as one INSERT in the native format; no rows are no
// INSERT. The token is its deduplication token and its query ID: the table, and
// its materialized views, take the rows of a token once, and while a query of
// an ID runs the server refuses another. Further settings go on top.
//
// The error is a *Failure. After any but one with Sent false the outcome is
// unknown, and only the same rows under the same token may be sent again. The
// connection is never used again after a failure. The columns are read, not
// copied, until Insert returns.
func (i *Inserter) Insert(ctx context.Context, table string, in proto.Input, token string, extra ...ch.Setting) error {
	if len(in) == 0 || in[0].Data.Rows() == 0 {
		return nil // an empty block would mean the end of the data
	}
	ctx, cancel := context.WithTimeout(ctx, InsertTimeout)
	defer cancel()
	c, err := i.get(ctx)
	if err != nil {
		return err
	}
	q := ch.Query{Body: into(i.cfg.Database, table, in), QueryID: token, Input: in, Settings: append(i.cfg.settings(ctx, token), extra...)}
	if err := c.do(ctx, q); err != nil {
		_ = c.Close()
		return Wrap(err, "insert into %s", table)
	}
	i.put(c)
	return nil
}

// settings are those that the promise rests on. A server that does not know one
// refuses the insert.
func (c Config) settings(ctx context.Context, token string) []ch.Setting {
	left := InsertTimeout
	if d, ok := ctx.Deadline(); ok {
		left = min(left, max(time.Until(d), time.Second))
	}
	set := func(key, value string) ch.Setting { return ch.Setting{Key: key, Value: value, Important: true} }
	return append(c.quorum(left), []ch.Setting{
		set("insert_deduplicate", "1"),
		set("insert_deduplication_token", token),
		set("deduplicate_blocks_in_dependent_materialized_views", "1"),          // else a resend doubles every view
		set("throw_on_max_partitions_per_insert_block", "0"),                    // a batch that spans years is legal
		set("max_execution_time", strconv.Itoa(int(math.Ceil(left.Seconds())))), // the client's deadline, by the server's clock
		set("async_insert", "0"),                                                // an answer means stored
	}...)
}

// into is the statement; without a database it is for a temporary table. ch-go's
// own quotes db.table as one name.
func into(database, table string, in proto.Input) string {
	if database != "" {
		database = Quote(database) + "."
	}
	names := make([]string, len(in))
	for n, c := range in {
		names[n] = Quote(c.Name)
	}
	return "INSERT INTO " + database + Quote(table) + " (" + strings.Join(names, ", ") + ") VALUES"
}
