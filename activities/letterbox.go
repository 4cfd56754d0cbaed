package activities

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
)

// lettersMost is how many dead letters a block of a redrive has at most: a look
// lists all of them.
const lettersMost = 10_000

// readMost is how many letters are in memory at once.
const readMost = 500

// read calls each with the records of the range, in order: from Kafka, or, in a
// redrive, from the table of dead letters, which has them whole. What an unclean
// election has put in the place of records that were planned is not among them.
func (a *Activities) read(ctx context.Context, j Job, r batch.Range, each func([]*kgo.Record) error) error {
	if !j.Letters {
		epoch, known := j.Epochs[r.Partition]
		if !known {
			epoch = -1
		}
		return a.Reader.ReadPlanned(ctx, j.Topic, j.TopicID, r, epoch, func(recs []*kgo.Record) error {
			a.Metrics.read(j.Topic, recs)
			return each(recs)
		})
	}
	rows, err := a.Looker.Query(ctx, deadLetters, `SELECT _offset, key, value, toUnixTimestamp64Milli(_kafka_timestamp) FROM dead_letters
		WHERE _topic = ? AND _topic_id = ? AND _partition = ? AND _offset BETWEEN ? AND ? ORDER BY _offset LIMIT 1 BY _offset`, j.Topic, j.TopicID.String(), r.Partition, r.First, r.Last)
	if err != nil {
		return clickhouse.Wrap(err, "read dead letters")
	}
	defer func() { _ = rows.Close() }()
	var recs []*kgo.Record
	for rows.Next() {
		rec := &kgo.Record{Topic: j.Topic, Partition: r.Partition}
		var key, value string
		var at int64
		if err := rows.Scan(&rec.Offset, &key, &value, &at); err != nil {
			return clickhouse.Wrap(err, "read dead letters")
		}
		rec.Key, rec.Value, rec.Timestamp = []byte(key), []byte(value), time.UnixMilli(at)
		if recs = append(recs, rec); len(recs) == readMost {
			if err := each(recs); err != nil {
				return err
			}
			recs = recs[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return clickhouse.Wrap(err, "read dead letters")
	}
	if len(recs) == 0 {
		return nil
	}
	return each(recs)
}

// Letters says which dead letters are meant: those of a topic in state dead, and
// of these the ones for which all that is set holds.
type Letters struct {
	Topic  string    `json:"topic"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"` // when they were dead-lettered
	Until  time.Time `json:"until,omitzero"` // exclusive
}

// Where is the condition, with its arguments.
func (l Letters) Where() (sql string, args []any) {
	parts, args := []string{"_topic = ?", "state = 'dead'"}, []any{l.Topic}
	if l.Reason != "" {
		parts, args = append(parts, "reason = ?"), append(args, l.Reason)
	}
	if !l.Since.IsZero() {
		parts, args = append(parts, "_inserted_at >= fromUnixTimestamp64Milli(?)"), append(args, l.Since.UnixMilli())
	}
	if !l.Until.IsZero() {
		parts, args = append(parts, "_inserted_at < fromUnixTimestamp64Milli(?)"), append(args, l.Until.UnixMilli())
	}
	return strings.Join(parts, " AND "), args
}

// Place is a dead letter's.
type Place struct {
	TopicID   batch.TopicID `json:"topic_id"`
	Partition int32         `json:"p"`
	Offset    int64         `json:"o"`
}

// PickInput asks for the next dead letters behind a place, at most so many.
type PickInput struct {
	Letters
	After *Place `json:"after,omitempty"`
	Most  int64  `json:"most"`
}

// Picked is dead letters of one topic ID, by their exact coordinates: at most
// maxFragments ranges. None are left behind Last if there are none.
type Picked struct {
	TopicID batch.TopicID `json:"topic_id"`
	Ranges  batch.Ranges  `json:"ranges,omitempty"`
	Last    Place         `json:"last"`
}

// maxPickBytes bounds what a block of a redrive reads.
const maxPickBytes = 32 << 20

// Pick answers the coordinates of the next dead letters. It only reads.
func (a *Activities) Pick(ctx context.Context, in PickInput) (out Picked, err error) {
	err = blips(ctx, func() error {
		out, err = a.pick(ctx, in)
		return err
	})
	if err != nil {
		return Picked{}, failIn(ctx, troubleOf(err))
	}
	return out, nil
}

func (a *Activities) pick(ctx context.Context, in PickInput) (out Picked, err error) {
	where, args := in.Where()
	if in.After != nil {
		where, args = where+" AND (toString(_topic_id), _partition, _offset) > (?, ?, ?)", append(args, in.After.TopicID.String(), in.After.Partition, in.After.Offset)
	}
	rows, err := a.Looker.Query(ctx, deadLetters, "SELECT toString(_topic_id) AS id, _partition, _offset, length(value) FROM dead_letters WHERE "+where+
		" ORDER BY id, _partition, _offset LIMIT 1 BY id, _partition, _offset LIMIT ?", append(args, min(in.Most, lettersMost))...)
	if err != nil {
		return out, clickhouse.Wrap(err, "pick dead letters of %s", in.Topic)
	}
	defer func() { _ = rows.Close() }()
	var id string
	var size, bytes uint64
	var r batch.Range
	for rows.Next() {
		if err := rows.Scan(&id, &r.Partition, &r.First, &size); err != nil {
			return out, clickhouse.Wrap(err, "pick dead letters of %s", in.Topic)
		}
		r.Last = r.First
		if len(out.Ranges) == 0 {
			if err := out.TopicID.UnmarshalText([]byte(id)); err != nil {
				return out, err
			}
		}
		bytes += size
		next := extend(out.Ranges, r)
		if id != out.TopicID.String() || len(next) > maxFragments || bytes > maxPickBytes && len(out.Ranges) > 0 {
			return out, nil // the rest is picked behind it
		}
		out.Ranges, out.Last = next, Place{out.TopicID, r.Partition, r.First}
	}
	if err := rows.Err(); err != nil {
		return out, clickhouse.Wrap(err, "pick dead letters of %s", in.Topic)
	}
	return out, nil
}

// extend adds the next offset, in order.
func extend(rs batch.Ranges, r batch.Range) batch.Ranges {
	if n := len(rs); n > 0 && rs[n-1].Partition == r.Partition && rs[n-1].Last == r.First-1 {
		rs[n-1].Last = r.First
		return rs
	}
	return append(rs, r)
}

// Mark sets the state of those of the job's dead letters that the kind's table
// holds to redriven, and answers how many offsets that are. It is safe to run
// twice.
func (a *Activities) Mark(ctx context.Context, j Job) (int64, error) {
	kind, err := a.kind(j.Topic)
	if err != nil {
		return 0, err
	}
	var stored batch.Ranges
	err = blips(ctx, func() error {
		var err error
		if stored, _, err = a.Looker.Look(ctx, kind.Table(), j.TopicID, j.Ranges); err != nil || len(stored) == 0 {
			return err
		}
		return a.alter(ctx, deadLetters, "UPDATE state = 'redriven' WHERE state = 'dead' AND "+coordinates(j.Topic, j.TopicID, stored))
	})
	if err != nil {
		return 0, failIn(ctx, troubleOf(fmt.Errorf("mark dead letters as redriven: %w", err)))
	}
	return stored.Len(), nil
}

// bigQuery lets a statement name some thousand offsets, and waits for mutations, on every replica if there are some: what a look finds
// must not depend on which it asks.
func bigQuery(ctx context.Context) context.Context {
	return driver.Context(ctx, driver.WithSettings(driver.Settings{
		"limit": 0, "offset": 0, "result_overflow_mode": "throw", "read_overflow_mode": "throw", "mutations_sync": 2, "max_query_size": 64 << 20, "max_ast_elements": 10_000_000, "max_expanded_ast_elements": 10_000_000,
	}))
}

// maxMutations is how many changes may wait before no more are asked for.
const maxMutations = 5

// alter changes a table's rows and waits for it.
func (a *Activities) alter(ctx context.Context, table, command string) error {
	var n uint64
	if err := a.Queries.QueryRow(ctx, "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = ? AND NOT is_done", table).Scan(&n); err != nil {
		return clickhouse.Wrap(err, "look at the mutations of %s", table)
	}
	if n > maxMutations { // each try would add one
		return fmt.Errorf("%s has %d unfinished mutations: see system.mutations", table, n)
	}
	if err := a.Queries.Exec(bigQuery(ctx), "ALTER TABLE "+table+" "+command); err != nil {
		return clickhouse.Wrap(err, "change %s", table)
	}
	return nil
}

// coordinates is the condition for exactly these offsets: as a set, since the
// server takes a second for a thousand alternatives. There are as many as a block
// of a redrive has.
func coordinates(topic string, id batch.TopicID, rs batch.Ranges) string {
	offsets := map[int32][]string{}
	for _, r := range rs {
		for o := r.First; o <= r.Last; o++ {
			offsets[r.Partition] = append(offsets[r.Partition], strconv.FormatInt(o, 10))
		}
	}
	var parts []string
	for p, list := range offsets {
		parts = append(parts, fmt.Sprintf("_partition = %d AND _offset IN (%s)", p, strings.Join(list, ",")))
	}
	return "_topic = " + text(topic) + " AND _topic_id = '" + id.String() + "' AND (" + strings.Join(parts, " OR ") + ")"
}

// text is a literal.
func text(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
