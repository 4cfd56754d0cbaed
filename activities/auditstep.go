package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
)

// spanJoin is how many offsets between two missing ones are read for nothing rather than asked around: a fetch answers at least
// 64 KiB, which is about as many records. Markers of transactions are many single offsets.
const spanJoin = 256

// auditor compares ranges of one partition.
type auditor struct {
	a      *Activities
	in     AuditRangeInput
	kind   record.Kind
	expiry clickhouse.Expiry
}

// step compares one range. What is redriven between the questions may be seen in
// none of the places, or in both: findings are looked at again.
func (s *auditor) step(ctx context.Context, r batch.Range) (out Audited, err error) {
	within := batch.NewBitmap(r)
	within.Add(r)
	if s.in.Only != nil {
		within = batch.NewBitmap(r)
		for _, o := range s.in.Only {
			within.Add(o)
		}
	}
	var held places
	if err := blips(ctx, func() (err error) { held, err = s.ask(ctx, r); return err }); err != nil {
		return out, err
	}
	stored, dead := held.table.And(within), held.dead.Sub(held.table).And(within)
	out = Audited{Offsets: within.Len(), Stored: stored.Len(), Dead: dead.Len()}
	each(held.doubled.And(within), out.Doubled.add)
	each(held.deadDoubled.And(within), out.DeadDoubled.add)
	each(held.both.And(within), out.Both.add)
	missing := within.Sub(stored).Sub(dead)
	for _, e := range []struct {
		kind Exception
		n    *int64
	}{{"skipped", &out.Skipped}, {ExceptionLost, &out.Lost}, {ExceptionOpened, &out.Opened}} {
		if noted := held.noted[e.kind]; noted != nil {
			*e.n = missing.And(noted).Len()
			missing = missing.Sub(noted)
		}
	}
	if noted := held.noted[ExceptionTruncated]; noted != nil { // it explains nothing: there are other records now
		out.Truncated = noted.And(within).Len()
	}
	err = s.explain(ctx, missing, &out)
	return out, err
}

func each(b *batch.Bitmap, f func(batch.Range)) {
	b.Ranges(func(r batch.Range) bool { f(r); return true })
}

// places is where ClickHouse has the offsets of a range.
type places struct {
	table, doubled    *batch.Bitmap
	dead, deadDoubled *batch.Bitmap
	both              *batch.Bitmap
	noted             map[Exception]*batch.Bitmap
}

func (s *auditor) ask(ctx context.Context, r batch.Range) (p places, err error) {
	look, id := s.a.Looker, s.in.TopicID
	if p.table, p.doubled, err = look.Held(ctx, s.kind.Table(), id, r); err != nil {
		return p, err
	}
	if p.dead, p.deadDoubled, err = look.Held(ctx, deadLetters, id, r); err != nil {
		return p, err
	}
	if p.dead.Len() > 0 { // one that was redriven has its place in the table, or none
		unsettled, err := look.Unsettled(ctx, deadLetters, id, r)
		if err != nil {
			return p, err
		}
		p.dead = p.dead.And(unsettled)
	}
	p.both = p.dead.And(p.table)
	p.noted, err = s.exceptions(ctx, r)
	return p, err
}

// exceptions are the offsets of the range that were noted, by kind.
func (s *auditor) exceptions(ctx context.Context, r batch.Range) (map[Exception]*batch.Bitmap, error) {
	rows, err := s.a.Looker.Query(ctx, "ingest_exceptions", "SELECT kind, first, last FROM ingest_exceptions WHERE _topic = ? AND _topic_id = ? AND _partition = ? AND first <= ? AND last >= ?",
		s.in.Topic, s.in.TopicID.String(), r.Partition, r.Last, r.First)
	if err != nil {
		return nil, clickhouse.Wrap(err, "read the exceptions of %s", s.in.Topic)
	}
	defer func() { _ = rows.Close() }()
	noted := map[Exception]*batch.Bitmap{}
	for rows.Next() {
		var kind string
		e := batch.Range{Partition: r.Partition}
		if err := rows.Scan(&kind, &e.First, &e.Last); err != nil {
			return nil, clickhouse.Wrap(err, "read the exceptions of %s", s.in.Topic)
		}
		if noted[Exception(kind)] == nil {
			noted[Exception(kind)] = batch.NewBitmap(r)
		}
		noted[Exception(kind)].Add(e)
	}
	if err := rows.Err(); err != nil {
		return nil, clickhouse.Wrap(err, "read the exceptions of %s", s.in.Topic)
	}
	return noted, nil
}

// explain asks Kafka what the missing offsets are.
func (s *auditor) explain(ctx context.Context, missing *batch.Bitmap, out *Audited) error {
	if missing.Len() == 0 {
		return nil
	}
	e := &explanation{s: s, missing: missing, gaps: batch.NewBitmap(missing.Of()), expired: batch.NewBitmap(missing.Of()), deleted: batch.NewBitmap(missing.Of())}
	if s.expiry.Known && s.expiry.Clause != "" {
		e.probe = s.a.lend(s.kind)
		defer s.a.giveBack(s.kind, e.probe)
	}
	for _, span := range spans(missing) {
		if err := e.read(ctx, span); err != nil {
			return fmt.Errorf("read %s %s: %w", s.in.Topic, span, err)
		}
	}
	each(e.gaps, out.Gaps.add)
	out.Expired, out.Deleted = e.expired.Len(), e.deleted.Len()
	out.Holes = missing.Len() - out.Gaps.Offsets - out.Expired - out.Deleted
	if !s.expiry.Known && out.Gaps.Offsets > 0 {
		out.Expiry = s.expiry.Clause
	}
	return nil
}

// spans are what is read to see all missing offsets.
func spans(missing *batch.Bitmap) (out batch.Ranges) {
	each(missing, func(r batch.Range) {
		if n := len(out); n > 0 && r.First-out[n-1].Last <= spanJoin {
			out[n-1].Last = r.Last
			return
		}
		out = append(out, r)
	})
	return out
}

// explanation sorts missing offsets by what Kafka says of them; those of which it says nothing are holes.
type explanation struct {
	s                      *auditor
	probe                  *record.Block // decodes, where rows expire
	missing                *batch.Bitmap
	gaps, expired, deleted *batch.Bitmap
}

func (e *explanation) read(ctx context.Context, r batch.Range) error {
	for r.Len() > 0 {
		err := e.s.a.Reader.Read(ctx, e.s.in.Topic, e.s.in.TopicID, r, func(recs []*kgo.Record) error {
			for _, rec := range recs {
				e.record(rec)
			}
			return nil
		})
		var lost *kafka.LostError
		if !errors.As(err, &lost) {
			return err
		}
		gone := batch.Range{Partition: r.Partition, First: lost.First, Last: lost.Start - 1}
		part := batch.NewBitmap(e.missing.Of())
		part.Add(gone)
		each(part.And(e.missing), e.deleted.Add)
		r.First = lost.Start
	}
	return nil
}

func (e *explanation) record(rec *kgo.Record) {
	at := batch.Range{Partition: rec.Partition, First: rec.Offset, Last: rec.Offset}
	switch {
	case !e.missing.Has(rec.Offset):
	case e.due(rec):
		e.expired.Add(at)
	default:
		e.gaps.Add(at)
	}
}

// due tells whether the table would have dropped the record's row. One that cannot be decoded has none: it belongs to the dead letters.
func (e *explanation) due(rec *kgo.Record) bool {
	if e.probe == nil {
		return false
	}
	if e.probe.Rows() >= 1000 {
		e.probe.Reset()
	}
	err := e.probe.Append(rec.Value, record.Coordinates{Topic: e.s.in.Topic, TopicID: e.s.in.TopicID, Partition: rec.Partition, Offset: rec.Offset})
	return err == nil && e.s.expiry.Due(e.probe.LastTime())
}
