package clickhouse

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// removing has the DELETE done when the server answers. Only by the server that
// is asked: to wait for the other replicas would be to wait for one that is away,
// and whoever looks next asks this one first. Replicas that are behind only find
// doubles that a second removal does not find any more.
var removing = clickhouse.Settings{
	"lightweight_deletes_sync": 1, "max_query_size": 1 << 20,
}

// Remove deletes the direct rows of these copies, and no other row: not Kafka's,
// and not direct rows of another time or topic. The rows are gone when it
// returns nil, and out of the projections too. After an unknown outcome, or at
// the same time as another, it is safe to run again: what is gone is not found.
// It takes the grant ALTER DELETE on the table. Errors are *Failure.
func (d *Doubles) Remove(ctx context.Context, copies []Copy) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(removing))
	for len(copies) > 0 { // they are in the order of the table's partitions: others are not touched
		n := 1
		for n < len(copies) && n < perRemoval && copies[n].partitionID == copies[0].partitionID {
			n++
		}
		if err := d.conn.Exec(ctx, d.remove(copies[:n])); err != nil {
			return Wrap(err, "remove direct rows of %s from %s", d.rows.Topic, d.rows.Table)
		}
		copies = copies[n:]
	}
	return nil
}

// remove names the copies in one string that the server splits: of a tuple of literals it takes a second for ten thousand.
func (d *Doubles) remove(copies []Copy) string {
	names := make([]string, len(copies))
	first, last := copies[0].timestamp, copies[0].timestamp
	for i, c := range copies {
		names[i] = c.Event.String() + strconv.FormatInt(c.timestamp, 10)
		first, last = min(first, c.timestamp), max(last, c.timestamp)
	}
	return fmt.Sprintf("DELETE FROM %s IN PARTITION ID %s WHERE %s AND timestamp >= %s AND timestamp <= %s AND concat(toString(event_id), toString(toUnixTimestamp64Micro(timestamp))) IN splitByChar(',', '%s')",
		Quote(d.rows.Table), literal(copies[0].partitionID), d.direct(), micros(first), micros(last), strings.Join(names, ","))
}

// literal makes a string literal of any text.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}
