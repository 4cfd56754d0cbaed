package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/activity"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/record"
)

// InsertInput is one turn's insert: the job's ranges are what the look found
// absent.
type InsertInput struct {
	Job
	Warrant Warrant  `json:"warrant"`
	From    Progress `json:"from"`
}

// Inserted is the count of one turn: offsets of the job = Stored + Rejected + Holes.
type Inserted struct {
	Progress
	Clean bool `json:"clean"` // first attempt, every answer heard: the counts prove the books
}

// Insert reads exactly the job's ranges, decodes them into columns and inserts
// them, block by block.
//
// It is safe to run twice, also at once: the blocks are a pure function of the
// job and of records that never change, each goes under the token of exactly
// its offsets, and the server drops the second one. It starts no block after
// the look has expired, nor when the look was another run's (an operator's
// reset), nor when Temporal may have given the activity to another worker, nor
// before Temporal has accepted a heartbeat of this very attempt.
func (a *Activities) Insert(ctx context.Context, in InsertInput) (Inserted, error) {
	info := activity.GetInfo(ctx)
	from := in.From
	if activity.HasHeartbeatDetails(ctx) {
		var p Progress
		if err := activity.GetHeartbeatDetails(ctx, &p); err != nil {
			from.Doubt, from.Silent = true, true
		} else if p.Done >= from.Done {
			from = p
		}
	}
	again := info.Attempt > 1 || in.From != (Progress{})
	kind, err := a.kind(in.Topic)
	if err != nil {
		return Inserted{}, withProgress(err, from)
	}
	ctx, beat := a.pulse(ctx, from)
	defer beat.stop()
	w := &writer{a: a, in: in, kind: kind, block: a.lend(kind), pulse: beat, p: from, silent: from.Silent, used: from.Doubt, run: info.WorkflowExecution.RunID}
	defer a.giveBack(kind, w.block)
	err = nil
	if again { // an outage should not cost a read of the batch for every try
		err = blips(ctx, func() error { return a.Inserter.Ping(ctx) })
	}
	if err == nil {
		err = w.all(ctx)
		w.done(ctx, err)
	}
	if err != nil {
		t := troubleOf(err)
		t.Progress, t.Block = w.p, w.open.Len()
		t.Progress.Silent = w.silent
		return Inserted{}, failIn(ctx, t)
	}
	if !from.Doubt || !w.unsent {
		w.p.Doubt, w.p.Silent = false, false // every block was acknowledged under its token: what is late is dropped by it
	}
	return Inserted{Progress: w.p, Clean: !again && !w.p.Resent}, nil
}

// writer fills blocks and sends them.
type writer struct {
	a     *Activities
	in    InsertInput
	kind  record.Kind
	block *record.Block
	pulse *pulse
	p     Progress
	run   string
	// silent is whether the server may still be at something that was sent. What
	// Temporal is told is that it is, from the first send on.
	silent bool
	told   bool // Temporal has accepted a heartbeat of this attempt since it began to send
	used   bool // the open block may have been sent before under its token
	unsent bool // a block had no rows: no token covers what another version of the worker may have sent of it

	reading reading // of the open block, in the batch's trace

	open  batch.Ranges // offsets that the block covers, holes and rejected ones included
	bytes int64        // keys and values since the block began
	tally Progress     // counts of the open block, added to p when it is acknowledged
}

func (w *writer) all(ctx context.Context) error {
	skip := w.p.Done
	for _, part := range w.in.Ranges.Cut(w.in.Limits.BlockRecords) {
		if n := part.Len(); skip >= n {
			skip -= n
			continue
		}
		for _, r := range part {
			n := min(skip, r.Len())
			skip -= n
			r.First += n
			if r.Len() == 0 {
				continue
			}
			if err := w.rangeOf(ctx, r); err != nil {
				return err
			}
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rangeOf adds one range; next is its first offset that no block covers yet.
func (w *writer) rangeOf(ctx context.Context, r batch.Range) error {
	next := r.First
	w.read(ctx)
	err := w.a.read(ctx, w.in.Job, r, func(recs []*kgo.Record) error {
		w.reading.decodes()
		defer w.reading.decoded()
		for _, rec := range recs {
			size := int64(len(rec.Key) + len(rec.Value))
			w.tally.Holes += rec.Offset - next
			w.cover(r.Partition, next, rec.Offset-1)
			if w.bytes > 0 && w.bytes+size > w.in.Limits.BlockBytes {
				if err := w.flush(ctx); err != nil {
					return err
				}
				w.read(ctx)
				w.reading.decodes()
			}
			w.add(rec, size)
			w.cover(r.Partition, rec.Offset, rec.Offset)
			next = rec.Offset + 1
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s %s: %w", w.in.Topic, r, err)
	}
	if next <= r.Last {
		w.tally.Holes += r.Last - next + 1
		w.cover(r.Partition, next, r.Last)
	}
	return nil
}

func (w *writer) cover(partition int32, first, last int64) {
	if last < first {
		return
	}
	if n := len(w.open); n > 0 && w.open[n-1].Partition == partition && w.open[n-1].Last >= first-1 {
		w.open[n-1].Last = last
		return
	}
	w.open = append(w.open, batch.Range{Partition: partition, First: first, Last: last})
}

func (w *writer) add(rec *kgo.Record, size int64) {
	w.bytes += size
	w.tally.Bytes += size
	err := w.block.Append(rec.Value, record.Coordinates{Topic: w.in.Topic, TopicID: w.in.TopicID, Partition: rec.Partition, Offset: rec.Offset, Timestamp: rec.Timestamp})
	if err != nil {
		w.tally.Rejected++
		w.tally.Faults += fault(rec.Partition, rec.Offset)
	}
}

// fault is a coordinate's part of a checksum that does not depend on order.
func fault(partition int32, offset int64) uint64 {
	x := uint64(offset) ^ uint64(partition)<<40 //nolint:gosec // neither is negative
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// flush sends the open block and waits for the server's answer.
func (w *writer) flush(ctx context.Context) error {
	rows := int64(w.block.Rows())
	w.done(ctx, nil)
	if rows > 0 {
		if err := w.send(ctx); err != nil {
			return err
		}
	}
	w.unsent = w.unsent || rows == 0
	w.p.Done += w.open.Len()
	w.p.Stored += rows
	w.p.Rejected += w.tally.Rejected
	w.p.Faults += w.tally.Faults
	w.p.Holes += w.tally.Holes
	w.p.Bytes += w.tally.Bytes
	w.pulse.note(w.p)
	w.open, w.bytes, w.tally, w.used = nil, 0, Progress{}, false
	w.block.Reset()
	return nil
}

// send inserts the block, again after blips: always the same rows under the
// same token, whatever became of the last try.
func (w *writer) send(ctx context.Context) (err error) {
	token := w.in.token(w.open)
	began := time.Now()
	tries := 0
	ctx, s := span(ctx, "insert", w.in.Job)
	defer func() { w.sent(s, token, tries, err) }()
	err = blips(ctx, func() error {
		if err := w.allowed(ctx); err != nil {
			return err
		}
		doubt, silent := w.p.Doubt, w.p.Silent
		if !doubt || !silent || !w.told {
			if err := w.pulse.doubt(ctx, w.p); err != nil {
				return err
			}
			w.p.Doubt, w.p.Silent, w.told = true, true, true
		}
		w.p.Resent = w.p.Resent || doubt && tries > 0
		tries++
		err := w.a.Inserter.Insert(ctx, w.kind.Table(), w.block.Input(), token)
		w.a.Metrics.tried(w.in.Topic, err, w.used)
		var f *clickhouse.Failure
		w.used = w.used || err != nil && (!errors.As(err, &f) || f.Sent)
		switch {
		case errors.As(err, &f) && !f.Sent:
			w.p.Doubt, w.p.Silent = doubt, silent
			w.pulse.note(w.p)
		case err != nil && (f == nil || f.Code == 0):
			w.silent = true
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("insert %d rows into %s: %w", w.block.Rows(), w.kind.Table(), err)
	}
	w.a.Metrics.inserted(w.in.Job, w.block, time.Since(began))
	return nil
}

// allowed says whether an insert may begin now.
func (w *writer) allowed(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !w.pulse.ours():
		return &stopped{Trouble{Class: Outage, Name: "HEARTBEAT_LOST", Message: "no heartbeat was accepted within " + HeartbeatTimeout.String()}}
	}
	return w.in.Warrant.check(w.run)
}
