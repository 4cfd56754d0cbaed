package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/ai-backlog/ingest/batch"
)

const (
	// perStretch is how many direct rows are looked for at once: the question takes about 120 MB of the server's memory.
	perStretch = 1 << 18
	// perRemoval is how many copies one question lists and one DELETE names: 53 bytes each. Replicas hand the statement on
	// through ZooKeeper, which refuses more than a megabyte; and each DELETE counts the coordinates of the parts that it
	// touches anew, for their projections, so that it should name many.
	perRemoval = 10_000
	// removeTimeout is for one DELETE: a part of a billion rows takes minutes.
	removeTimeout = 10 * time.Minute
)

// Direct names the rows of a topic that came straight from a client: the topic
// ID is zero, and the partition one that Kafka does not have.
type Direct struct {
	Table, Topic string
	Partition    int32
	Doubt        int64 // the _offset of those that Kafka may have too
}

// Doubles finds the direct rows of a topic that Kafka has brought too, and
// removes them.
//
// Two rows are the same record if event ID and timestamp are equal; the
// timestamp is part of it because it finds the other row cheaply, and because an
// agent may give an ID of its own twice. Kafka's row may be of any topic of the
// table, and may have been redriven. A record whose Kafka copy is among the dead
// letters is no double: the direct row is the only one that is stored. When a
// redrive brings the other one, the next search finds it. The dead letters are
// not searched for such: their IDs are inside of raw values.
type Doubles struct {
	conn driver.Conn
	rows Direct
}

// NewDoubles looks into the tables of the connection's database.
func NewDoubles(conn driver.Conn, rows Direct) *Doubles { return &Doubles{conn: conn, rows: rows} }

// Stretch is direct rows of consecutive minutes, of few enough for one question
// (Parts is 1), or of one minute that has more.
type Stretch struct {
	From, To    int64 // minutes since 1970, of records' timestamps; To is not part of it
	Rows, Doubt int64
	Parts       int
}

// Stretches are all direct rows of minutes from the given one on, in order of
// time.
//
// Where the table has none, the projection by_bucket says so at any size of the
// table. Else the column _partition is read from end to end, once: a billion
// rows take about three seconds of a core; other columns only where direct rows
// are. Memory is that of the minutes, of which fifty million rows of a day have
// 1,440. Errors are *Failure.
func (d *Doubles) Stretches(ctx context.Context, from int64) ([]Stretch, error) {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(whole))
	some, err := d.some(ctx)
	if err != nil || !some {
		return nil, err
	}
	rows, err := d.conn.Query(ctx, fmt.Sprintf("SELECT intDiv(toUnixTimestamp64Micro(timestamp), 60000000) AS minute, toInt64(count()), toInt64(countIf(_offset = %d)) FROM %s PREWHERE _partition = %d WHERE %s AND timestamp >= %s GROUP BY minute ORDER BY minute",
		d.rows.Doubt, Quote(d.rows.Table), d.rows.Partition, d.direct(), minute(from)))
	if err != nil {
		return nil, d.wrap(err)
	}
	defer func() { _ = rows.Close() }()
	var out []Stretch
	for rows.Next() {
		var m, n, doubt int64
		if err := rows.Scan(&m, &n, &doubt); err != nil {
			return nil, d.wrap(err)
		}
		if last := len(out) - 1; last < 0 || out[last].Rows+n > perStretch {
			out = append(out, Stretch{From: m})
		}
		s := &out[len(out)-1]
		s.To, s.Rows, s.Doubt = m+1, s.Rows+n, s.Doubt+doubt
		s.Parts = int((s.Rows + perStretch - 1) / perStretch)
	}
	if err := rows.Err(); err != nil {
		return nil, d.wrap(err)
	}
	return out, nil
}

// some asks the projection whether there are direct rows, of any topic.
func (d *Doubles) some(ctx context.Context) (some bool, err error) {
	var held batch.Range
	var bucket int64
	var n uint64
	q := question{pool(d.conn), d.rows.Table, batch.TopicID{}}
	err = q.each(ctx, bucketColumns, "intDiv(_offset, 1024)", []unit{{partition: d.rows.Partition}}, []any{&held.Partition, &bucket, &n, &held.First, &held.Last},
		func() { some = some || n > 0 })
	if err != nil {
		return false, d.wrap(err)
	}
	return some, nil
}

func (d *Doubles) wrap(err error) error {
	return Wrap(err, "look for direct rows of %s in %s", d.rows.Topic, d.rows.Table)
}

const noUUID = "toUUID('00000000-0000-0000-0000-000000000000')"

// direct is the condition for a direct row.
func (d *Doubles) direct() string {
	return fmt.Sprintf("_partition = %d AND _topic_id = %s AND _topic = %s", d.rows.Partition, noUUID, literal(d.rows.Topic))
}

func minute(m int64) string { return micros(m * 60_000_000) }

func micros(us int64) string { return fmt.Sprintf("fromUnixTimestamp64Micro(toInt64(%d))", us) }

// Copy is a direct row, or some of the same event, that Kafka has brought too.
type Copy struct {
	Event uuid.UUID
	Rows  int64

	timestamp   int64  // microseconds
	partitionID string // of the table
}

// Found is what a question found among direct rows.
type Found struct {
	// Copies is how many direct rows are doubles.
	Copies int64
	// Listed are the first of them, perRemoval events at most.
	Listed []Copy
	// Twice is how many events have more than one direct row, and none of Kafka's.
	Twice int64
	// Events are the first of these, if all copies are listed: as many as fit in.
	Events []uuid.UUID
}

// Find looks for doubles in a part of the stretch, parts being counted from 0.
// It reads IDs only in granules that have rows of the very seconds of its direct
// rows, for the primary index and the table's partitions leave out the others:
// a few direct rows cost a few granules each, at any size of the table. A stretch
// that is full takes 0.13 s of a core where Kafka brought as many rows in the
// same time; so fifty million direct rows take half a minute, and the column
// _partition of their minutes is read once more. The server's
// memory is that of a stretch's IDs, and the answer's of perRemoval. Errors are
// *Failure.
func (d *Doubles) Find(ctx context.Context, s Stretch, part int) (f Found, err error) {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(whole))
	rows, err := d.conn.Query(ctx, d.find(s, part))
	if err != nil {
		return f, d.wrap(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c Copy
		var kafka bool
		if err := rows.Scan(&c.partitionID, &c.timestamp, &c.Event, &c.Rows, &kafka, &f.Copies, &f.Twice); err != nil {
			return f, d.wrap(err)
		}
		if kafka {
			f.Listed = append(f.Listed, c)
		} else {
			f.Events = append(f.Events, c.Event)
		}
	}
	if err := rows.Err(); err != nil {
		return f, d.wrap(err)
	}
	return f, nil
}

// find is Find's question. An event ID that is zero is none: rows of Kafka's without one have it too.
func (d *Doubles) find(s Stretch, part int) string {
	table := Quote(d.rows.Table)
	mine := fmt.Sprintf("SELECT timestamp, event_id FROM %s PREWHERE _partition = %d WHERE %s AND event_id != %s AND timestamp >= %s AND timestamp < %s",
		table, d.rows.Partition, d.direct(), noUUID, minute(s.From), minute(s.To))
	if s.Parts > 1 {
		mine += fmt.Sprintf(" AND cityHash64(event_id) %% %d = %d", s.Parts, part)
	}
	events := fmt.Sprintf("SELECT any(_partition_id) AS part, toUnixTimestamp64Micro(timestamp) AS us, event_id, toInt64(countIf(%s)) AS here, countIf(_partition >= 0 AND _topic_id != %s) > 0 AS kafka FROM %s WHERE (timestamp, event_id) IN (%s) GROUP BY timestamp, event_id HAVING here > 1 OR here = 1 AND kafka",
		d.direct(), noUUID, table, mine)
	return "SELECT toString(part), us, event_id, here, kafka, toInt64(sumIf(here, kafka) OVER ()), toInt64(countIf(NOT kafka) OVER ()) FROM (" + events + ") " +
		fmt.Sprintf("ORDER BY kafka DESC, part, us, event_id LIMIT %d", perRemoval)
}
