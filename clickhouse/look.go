package clickhouse

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/ai-backlog/ingest/batch"
)

const (
	bucketSize = 1024 // offsets of a row of the projection by_bucket
	wordSize   = 64   // and of by_word
	// perQuestion bounds one question's text and answer: 33 bytes a unit at most
	// stay below the server's max_query_size of 256 KiB.
	perQuestion = 4096
)

// Looker asks which offsets a table holds. It only reads.
type Looker struct {
	conn     driver.Conn
	replicas *replicas // nil: there is one server
}

// NewLooker looks into the tables of the connection's database, on one server.
func NewLooker(conn driver.Conn) *Looker { return &Looker{conn: conn} }

// LookerOf is a Looker for what is configured: with CLICKHOUSE_CLUSTER one that sees, on any replica, what all of them have
// acknowledged. Close it; the connection stays open.
func LookerOf(c Config, conn driver.Conn) (*Looker, error) {
	l := NewLooker(conn)
	if c.Cluster == "" {
		return l, nil
	}
	var err error
	l.replicas, err = newReplicas(c)
	return l, err
}

// Close ends connections of its own.
func (l *Looker) Close() error {
	if l.replicas == nil {
		return nil
	}
	return l.replicas.db.Close()
}

// on puts questions about the table where the answer is whole.
func (l *Looker) on(ctx context.Context, table string, questions func(asker) error) error {
	if l.replicas == nil {
		return questions(pool(l.conn))
	}
	return l.replicas.with(ctx, table, questions)
}

// Look answers which offsets of the ranges the table holds, exactly: sorted, and
// clipped to the ranges. duplicates counts rows beyond one for an offset, in the
// words of 64 offsets that the ranges touch, so at their ends it may count a
// neighbour's.
//
// It sees every insert that was acknowledged before: of one server, or of any
// replica of the cluster that is configured. It does not see one that is still in
// flight, and says nothing of materialized views.
//
// Both questions are answered by aggregate projections inside the parts, so they
// cost the same at any size of the table; parts without the projections are
// scanned. Normally the first proves all absent. Memory is bounded by the ranges:
// a few bytes an offset where they are full of holes. Errors are *Failure.
func (l *Looker) Look(ctx context.Context, table string, id batch.TopicID, ranges batch.Ranges) (present batch.Ranges, duplicates int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(whole))
	err = l.on(ctx, table, func(ask asker) error {
		q := question{ask, table, id}
		maybe, err := q.touched(ctx, ranges.Sort())
		if err == nil && len(maybe) > 0 {
			present, duplicates, err = q.bitmaps(ctx, maybe)
		}
		return err
	})
	if err != nil {
		return nil, 0, Wrap(err, "look into %s", table)
	}
	return present, duplicates, nil
}

// whole has the server answer by the projections, and with everything or an
// error, whatever the user's profile says: what is cut off would count as absent.
// No force_optimize_projection: it throws where a part has none.
var whole = clickhouse.Settings{
	"optimize_use_projections": 1, "limit": 0, "offset": 0, "result_overflow_mode": "throw", "read_overflow_mode": "throw", "read_overflow_mode_leaf": "throw",
	"group_by_overflow_mode": "throw", "set_overflow_mode": "throw", "timeout_overflow_mode": "throw", "sort_overflow_mode": "throw", "distinct_overflow_mode": "throw",
}

// question is what both looks have in common.
type question struct {
	ask   asker
	table string
	id    batch.TopicID
}

// each asks and calls row with every row of the answer, scanned into dest.
func (q question) each(ctx context.Context, columns, unitOf string, us []unit, dest []any, row func()) error {
	sql := "SELECT _partition, " + columns + " FROM " + Quote(q.table) + " WHERE _topic_id = '" + q.id.String() + "'" +
		" AND (_partition, " + unitOf + ") IN (" + tuples(us) + ") GROUP BY _topic_id, _partition, " + unitOf
	rows, err := q.ask(ctx, sql)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		row()
	}
	return rows.Err()
}

// The expressions are the projections' own, to the letter: any other spelling
// and the table is scanned.
const (
	bucketColumns = "intDiv(_offset, 1024) AS bucket, count(), min(_offset), max(_offset)"
	wordColumns   = "intDiv(_offset, 64) AS word, count() AS n, groupBitOr(bitShiftLeft(toUInt64(1), toUInt8(bitAnd(_offset, 63)))) AS bits"
)

// touched is the ranges that are not proven absent. One is absent if in each of
// its buckets all offsets lie before or after it.
func (q question) touched(ctx context.Context, ranges batch.Ranges) (batch.Ranges, error) {
	maybe := make([]bool, len(ranges))
	var held batch.Range
	var bucket int64
	var n uint64
	dest := []any{&held.Partition, &bucket, &n, &held.First, &held.Last}
	for chunk := range slices.Chunk(units(ranges, bucketSize), perQuestion) {
		err := q.each(ctx, bucketColumns, "intDiv(_offset, 1024)", chunk, dest, func() {
			for i := search(ranges, held); i < len(ranges) && ranges[i].Overlaps(held); i++ {
				maybe[i] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	var out batch.Ranges
	for i, r := range ranges {
		if maybe[i] {
			out = append(out, r)
		}
	}
	return out, nil
}

// bitmaps reads the words of the ranges: bit i of word w is offset w*64+i.
func (q question) bitmaps(ctx context.Context, ranges batch.Ranges) (present batch.Ranges, duplicates int64, err error) {
	var u unit
	var n, set uint64
	dest := []any{&u.partition, &u.number, &n, &set}
	for chunk := range slices.Chunk(units(ranges, wordSize), perQuestion) {
		err := q.each(ctx, wordColumns, "intDiv(_offset, 64)", chunk, dest, func() {
			duplicates += int64(n) - int64(bits.OnesCount64(set)) //nolint:gosec // rows of 64 offsets
			present = appendRuns(present, u, set, ranges)
		})
		if err != nil {
			return nil, 0, err
		}
		present = present.Sort() // an answer has no order
	}
	return present, duplicates, nil
}

// unit is a bucket or a word of a partition.
type unit struct {
	partition int32
	number    int64
}

// units are those that the sorted ranges touch, each once.
func units(ranges batch.Ranges, size int64) []unit {
	var out []unit
	for _, r := range ranges {
		for n := r.First / size; n <= r.Last/size; n++ {
			if u := (unit{r.Partition, n}); len(out) == 0 || out[len(out)-1] != u {
				out = append(out, u)
			}
		}
	}
	return out
}

// tuples is the right side of IN.
func tuples(us []unit) string {
	var b strings.Builder
	for n, u := range us {
		if n > 0 {
			_ = b.WriteByte(',')
		}
		_, _ = fmt.Fprintf(&b, "(%d,%d)", u.partition, u.number)
	}
	return b.String()
}

// appendRuns adds the runs of a word's set bits, clipped to the sorted ranges.
func appendRuns(to batch.Ranges, u unit, set uint64, ranges batch.Ranges) batch.Ranges {
	base := u.number * wordSize
	for set != 0 {
		first := bits.TrailingZeros64(set)
		length := bits.TrailingZeros64(^(set >> first)) // of ones from there on
		run := batch.Range{Partition: u.partition, First: base + int64(first), Last: base + int64(first+length) - 1}
		for i := search(ranges, run); i < len(ranges) && ranges[i].Overlaps(run); i++ {
			to = append(to, batch.Range{Partition: run.Partition, First: max(run.First, ranges[i].First), Last: min(run.Last, ranges[i].Last)})
		}
		if first+length >= wordSize {
			break
		}
		set &^= (1<<length - 1) << first
	}
	return to
}

// search is the index of the first of the sorted ranges that does not end
// before r begins.
func search(ranges batch.Ranges, r batch.Range) int {
	i, _ := slices.BinarySearchFunc(ranges, r, func(a, b batch.Range) int {
		if a.Partition != b.Partition {
			return int(a.Partition) - int(b.Partition)
		}
		if a.Last < b.First {
			return -1
		}
		return 1
	})
	return i
}
