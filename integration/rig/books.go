package rig

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
)

// tables are the topics' targets.
var tables = map[string]string{load.Logs: "logs", load.Metrics: "metrics", load.Events: "events"}

// Sent counts what the broker acknowledged.
type Sent struct {
	Good, Broken atomic.Int64
}

// Produce sends n records and returns when each is acknowledged. progress, if
// not nil, is called now and then with the number acknowledged.
func (r *Rig) Produce(ctx context.Context, g *load.Generator, n int, sent *Sent, progress func(int64)) error {
	var failed atomic.Pointer[error]
	for i := range n {
		rec, broken := g.Next()
		r.Client.Produce(ctx, rec, func(_ *kgo.Record, err error) {
			switch {
			case err != nil:
				failed.CompareAndSwap(nil, &err)
			case broken:
				sent.Broken.Add(1)
			default:
				sent.Good.Add(1)
			}
		})
		if progress != nil && i%10_000 == 0 {
			progress(sent.Good.Load() + sent.Broken.Load())
		}
	}
	if err := r.Client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	return nil
}

// Books is what became of the records.
type Books struct {
	Stored     int64 // rows of all tables
	Dead       int64 // rows of dead_letters
	Duplicates int64 // rows over one per coordinates, dead letters included
	Both       int64 // coordinates that are stored and dead
}

// Count reads the books as they are.
func (r *Rig) Count(ctx context.Context) (Books, error) {
	var b Books
	var rows, distinct uint64
	for _, t := range []string{"logs", "metrics", "events", "dead_letters"} {
		// Bit i of word w is offset 64w+i: tens of millions of rows are counted in little memory. Not by the projection that the product
		// looks into: this is its check.
		q := "SELECT sum(n), sum(bitCount(bits)) FROM (SELECT count() n, groupBitOr(bitShiftLeft(toUInt64(1), toUInt8(_offset % 64))) bits FROM " + t +
			" GROUP BY _topic_id, _partition, intDiv(_offset, 64)) SETTINGS optimize_use_projections = 0"
		if err := r.DB.QueryRow(ctx, q).Scan(&rows, &distinct); err != nil {
			return b, fmt.Errorf("count %s: %w", t, err)
		}
		if t == "dead_letters" {
			b.Dead = int64(rows) //nolint:gosec // far below 2^63
		} else {
			b.Stored += int64(rows) //nolint:gosec // far below 2^63
		}
		b.Duplicates += int64(rows - distinct) //nolint:gosec // far below 2^63
	}
	for topic, t := range tables {
		var both uint64
		q := "SELECT count() FROM " + t + " WHERE (_topic_id, _partition, _offset) IN (SELECT _topic_id, _partition, _offset FROM dead_letters WHERE _topic = ?)"
		if err := r.DB.QueryRow(ctx, q, topic).Scan(&both); err != nil {
			return b, fmt.Errorf("count %s: %w", t, err)
		}
		b.Both += int64(both) //nolint:gosec // far below 2^63
	}
	return b, nil
}

// Until polls until the condition holds. It gives up when ctx ends, and says what it last saw, or at once when a server or a
// program ended that nobody asked to.
func (r *Rig) Until(ctx context.Context, what string, cond func(context.Context) (bool, string)) error {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	var saw string
	for {
		ok, sees := cond(ctx)
		if ok {
			return nil
		}
		if ctx.Err() == nil { // else it may have seen only that the time is over
			saw = sees
		}
		if err := r.Died(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; last seen: %s", what, ctx.Err(), saw)
		case <-t.C:
		}
	}
}

// Drain waits until as many records are stored or dead as were acknowledged. It asks for no more than row counts, which the
// server knows without reading: a benchmark should not measure its own questions.
func (r *Rig) Drain(ctx context.Context, sent *Sent) error {
	want := sent.Good.Load() + sent.Broken.Load()
	return r.Until(ctx, fmt.Sprintf("wait for %d records", want), func(ctx context.Context) (bool, string) {
		ask, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		rows, err := r.Placed(ask)
		return err == nil && rows >= want, fmt.Sprint(rows, " rows, ", err)
	})
}

// Placed is how many rows all tables and dead letters have, which the server knows without reading.
func (r *Rig) Placed(ctx context.Context) (int64, error) {
	var rows uint64
	const q = "SELECT sum(n) FROM (SELECT count() n FROM logs UNION ALL SELECT count() FROM metrics UNION ALL SELECT count() FROM events UNION ALL SELECT count() FROM dead_letters)"
	if err := r.DB.QueryRow(ctx, q).Scan(&rows); err != nil {
		return 0, err
	}
	return int64(rows), nil //nolint:gosec // far below 2^63
}

// Settled waits until no batch runs any more, so that nothing can still change.
func (r *Rig) Settled(ctx context.Context) error {
	return r.Until(ctx, "wait for open batches", func(ctx context.Context) (bool, string) {
		n, err := r.OpenBatches(ctx)
		return err == nil && n == 0, fmt.Sprint(n, " open, ", err)
	})
}

// Marked waits until the group's committed offsets have reached the topic's ends: a batch that has ended counts in the low
// watermark a moment later, and only what is below that is audited.
func (r *Rig) Marked(ctx context.Context, topic string) error {
	adm := kadm.NewClient(r.Client)
	return r.Until(ctx, "wait for the low watermark of "+topic, func(ctx context.Context) (bool, string) {
		ends, err := adm.ListCommittedOffsets(ctx, topic)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return false, err.Error()
		}
		marks, err := adm.FetchOffsets(ctx, Group)
		behind := 0
		ends.Each(func(end kadm.ListedOffset) {
			if at, ok := marks.Lookup(topic, end.Partition); !ok && end.Offset > 0 || at.At < end.Offset {
				behind++
			}
		})
		return err == nil && behind == 0, fmt.Sprint(behind, " partitions behind, ", err)
	})
}

// Exact tells what is wrong with the books, if anything.
func (b Books) Exact(sent *Sent) error {
	var errs []error
	if b.Stored != sent.Good.Load() {
		errs = append(errs, fmt.Errorf("stored %d, sent good %d", b.Stored, sent.Good.Load()))
	}
	if b.Dead != sent.Broken.Load() {
		errs = append(errs, fmt.Errorf("dead-lettered %d, sent broken %d", b.Dead, sent.Broken.Load()))
	}
	if b.Duplicates != 0 || b.Both != 0 {
		errs = append(errs, fmt.Errorf("%d duplicates, %d both stored and dead", b.Duplicates, b.Both))
	}
	return errors.Join(errs...)
}

// Freshness is the time from Kafka's timestamp to the insert, over all rows.
func (r *Rig) Freshness(ctx context.Context) (p50, p99 time.Duration, err error) {
	var q []float64
	err = r.DB.QueryRow(ctx, `SELECT quantiles(0.5, 0.99)(ms) FROM (
		SELECT dateDiff('ms', _kafka_timestamp, _inserted_at) AS ms FROM logs
		UNION ALL SELECT dateDiff('ms', _kafka_timestamp, _inserted_at) FROM metrics
		UNION ALL SELECT dateDiff('ms', _kafka_timestamp, _inserted_at) FROM events)`).Scan(&q)
	if err != nil || len(q) != 2 {
		return 0, 0, fmt.Errorf("freshness: %v %w", q, err)
	}
	return time.Duration(q[0] * 1e6), time.Duration(q[1] * 1e6), nil
}

// AwaitLog waits until the process has printed the text.
func (r *Rig) AwaitLog(ctx context.Context, p *Process, text string) error {
	return r.Until(ctx, "wait for "+text, func(context.Context) (bool, string) { return strings.Contains(p.Log(), text), "" })
}
