package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/ai-backlog/ingest/batch"
)

// auditTimeout is for one question of an audit: most take milliseconds, but
// parts without projections, and doubled offsets, cost a scan of coordinates.
const auditTimeout = 2 * time.Minute

// Held is which offsets of the range the table holds, and which of them more
// than once, both exactly. It sees what a look sees. The first question is
// answered by the projection by_word and costs about 15 ms of CPU a million
// offsets at any size of the table; what comes back is only words that are not
// simply full. Only where offsets are stored twice the table's coordinates are
// scanned, to tell which. Errors are *Failure.
func (l *Looker) Held(ctx context.Context, table string, id batch.TopicID, r batch.Range) (held, doubled *batch.Bitmap, err error) {
	ctx, cancel := auditing(ctx)
	defer cancel()
	err = l.on(ctx, table, func(ask asker) (err error) {
		q := question{ask, table, id}
		var twice batch.Range
		if held, twice, err = q.abnormal(ctx, r, ""); err == nil {
			doubled, err = q.twice(ctx, r, twice)
		}
		return err
	})
	if err != nil {
		return nil, nil, Wrap(err, "audit %s", table)
	}
	return held, doubled, nil
}

// Unsettled is which offsets of the range are dead letters in a state other than
// redriven: a row of the same offset has no business to be there. The state is
// in no projection, so the topic's dead letters are scanned. Errors are *Failure.
func (l *Looker) Unsettled(ctx context.Context, table string, id batch.TopicID, r batch.Range) (held *batch.Bitmap, err error) {
	ctx, cancel := auditing(ctx)
	defer cancel()
	err = l.on(ctx, table, func(ask asker) (err error) {
		held, _, err = question{ask, table, id}.abnormal(ctx, r, " AND state != 'redriven'")
		return err
	})
	if err != nil {
		return nil, Wrap(err, "audit the states of %s", table)
	}
	return held, nil
}

func auditing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"optimize_use_projections": 1}))
	return context.WithTimeout(ctx, auditTimeout)
}

// where is a range of words, in the projection's own expressions.
func (q question) where(first, last int64, r batch.Range, and string) string {
	return fmt.Sprintf(" FROM %s WHERE _topic_id = '%s' AND _partition = %d AND intDiv(_offset, 64) BETWEEN %d AND %d%s",
		Quote(q.table), q.id, r.Partition, first, last, and)
}

// abnormal reads the words that are not full, those behind a gap, and the last
// one, and so knows all of them. twice is from the first to the last offset of
// words that have more rows than offsets.
func (q question) abnormal(ctx context.Context, r batch.Range, and string) (held *batch.Bitmap, twice batch.Range, err error) {
	first, last := r.First/wordSize, r.Last/wordSize
	held, twice = batch.NewBitmap(r), batch.Range{Partition: r.Partition, First: r.First, Last: r.First - 1}
	sql := "SELECT word, n, bits, toUInt8(bitCount(bits)) AS u, gap FROM (" +
		fmt.Sprintf("SELECT *, max(word) OVER () AS end, word - lagInFrame(word, 1, toInt64(%d)) OVER (ORDER BY word ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) - 1 AS gap FROM (", first-1) +
		"SELECT " + wordColumns + q.where(first, last, r, and) + " GROUP BY _topic_id, _partition, intDiv(_offset, 64)))" +
		" WHERE n != u OR u != 64 OR gap != 0 OR word = end ORDER BY word"
	rows, err := q.ask(ctx, sql)
	if err != nil {
		return nil, twice, err
	}
	defer func() { _ = rows.Close() }()
	next := first // the first word that is not known yet; words that are not listed are full
	for rows.Next() {
		var word, gap int64
		var n, set uint64
		var u uint8
		if err := rows.Scan(&word, &n, &set, &u, &gap); err != nil {
			return nil, twice, err
		}
		held.Add(batch.Range{Partition: r.Partition, First: next * wordSize, Last: (word-gap)*wordSize - 1})
		held.AddWord(word, set)
		next = word + 1
		if n != uint64(u) {
			if twice.Len() == 0 {
				twice.First = word * wordSize
			}
			twice.Last = next*wordSize - 1
		}
	}
	return held, twice, rows.Err()
}

// twice is the offsets of r that have more than one row, of those within.
func (q question) twice(ctx context.Context, r, within batch.Range) (*batch.Bitmap, error) {
	doubled := batch.NewBitmap(r)
	if within.Len() == 0 {
		return doubled, nil
	}
	rows, err := q.ask(ctx, "SELECT _offset"+q.where(within.First/wordSize, within.Last/wordSize, r, "")+" GROUP BY _offset HAVING count() > 1")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var o int64
		if err := rows.Scan(&o); err != nil {
			return nil, err
		}
		doubled.Add(batch.Range{Partition: r.Partition, First: o, Last: o})
	}
	return doubled, rows.Err()
}
