package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/activity"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/record"
)

const deadLetters = "dead_letters"

// letterShare is what part of a block's bytes a block of dead letters may have: each letter is in memory three times, in its column,
// in its copy, and in the driver's buffer. The cut follows from the batch alone, as any other; so this number never changes: an attempt
// that begins on one version of the worker and goes on on the next would cut other blocks, under other tokens, and store letters twice.
const letterShare = 8

// decodeMost is how many rows are kept of records that are decoded only to see
// whether they can be.
const decodeMost = 1000

// DeadLetterInput names the records of one turn that are to be routed.
type DeadLetterInput struct {
	Job              // what the turn's insert sent: the undecodable records of it are routed
	Warrant  Warrant `json:"warrant"`
	Rejected int64   `json:"rejected"` // how many the insert counted
	Faults   uint64  `json:"faults"`   // and which
	// Bad are records beside the job's ranges that the server refuses, as an
	// isolation found them. Each is tried again, alone.
	Bad batch.Ranges `json:"bad,omitempty"`
	// All has every record of the job routed, whatever is wrong with it.
	All *Verdict `json:"all,omitempty"`
}

// Verdict is an operator's decision on records that could go in but do not.
type Verdict struct {
	Reason  string `json:"reason"` // the name of the error that held them up
	Code    int    `json:"code,omitempty"`
	Message string `json:"message"`
}

// Routed counts the dead letters of one turn.
type Routed struct {
	Count int64 `json:"count"`
	Clean bool  `json:"clean"` // first attempt, every answer heard
}

// DeadLetter decodes the job's records again, and tries those that the server
// refused; copies what is at fault to <topic>.dlq, and then puts it into the table
// dead_letters, raw and with the reason.
//
// The table is exact: rows go under the token of exactly their offsets, and the
// look covers them. The copy is at least once, which is why it comes first: a
// record that a look finds in the table is not routed again. Its headers tell a
// repeat. When this decoding finds other records at fault than the insert did
// (another version of the worker, or the server takes by now what it refused),
// nothing is routed and the workflow looks again, so that no record is ever both
// stored and dead. In a redrive the records are in the table already, and only
// their reasons are brought up to date.
func (a *Activities) DeadLetter(ctx context.Context, in DeadLetterInput) (Routed, error) {
	var before Progress // of this round's earlier attempts, which the workflow does not hear of
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &before); err != nil {
			before = unknown
		}
	}
	kind, err := a.kind(in.Topic)
	if err != nil {
		return Routed{}, withProgress(err, before)
	}
	ctx, beat := a.pulse(ctx, before)
	defer beat.stop()
	r := &router{a: a, in: in, pulse: beat, kind: kind, run: activity.GetInfo(ctx).WorkflowExecution.RunID, sent: before.Doubt, refusals: map[place]*clickhouse.Failure{}}
	err = r.verify(ctx)
	if err == nil && in.Letters {
		err = r.amend(ctx)
	} else if err == nil {
		err = r.route(ctx)
	}
	if err != nil {
		t := troubleOf(err)
		t.Progress.Doubt = r.sent
		return Routed{}, failIn(ctx, t)
	}
	a.Metrics.deadLettered(in.Topic, r.reasons)
	return Routed{Count: r.count, Clean: activity.GetInfo(ctx).Attempt == 1 && !r.resent}, nil
}

// place is where a record is in its topic.
type place struct {
	partition int32
	offset    int64
}

// router finds the records at fault and routes them.
type router struct {
	a     *Activities
	in    DeadLetterInput
	kind  record.Kind
	pulse *pulse
	run   string

	refusals     map[place]*clickhouse.Failure // of in.Bad
	letters      letters
	count        int64
	sent, resent bool
	told         bool // Temporal has accepted a heartbeat of this attempt
	reasons      map[string]int64
}

// each calls f for every record of the ranges, with why it cannot be decoded. The
// block has the last ones that can be, at most so many.
func (r *router) each(ctx context.Context, rs batch.Ranges, block *record.Block, most int, f func(*kgo.Record, *record.Rejected) error) error {
	for _, rg := range rs {
		err := r.a.read(ctx, r.in.Job, rg, func(recs []*kgo.Record) error {
			for _, rec := range recs {
				if block.Rows() >= most {
					block.Reset()
				}
				var bad *record.Rejected
				_ = errors.As(block.Append(rec.Value, record.Coordinates{Topic: r.in.Topic, TopicID: r.in.TopicID, Partition: rec.Partition, Offset: rec.Offset, Timestamp: rec.Timestamp}), &bad)
				if err := f(rec, bad); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read %s %s: %w", r.in.Topic, rg, err)
		}
	}
	return nil
}

// verify makes sure that the same records are at fault as before, before
// anything is routed.
func (r *router) verify(ctx context.Context) error {
	if r.in.All != nil {
		return nil
	}
	block := r.a.lend(r.kind)
	defer r.a.giveBack(r.kind, block)
	var n int64
	var faults uint64
	err := r.each(ctx, r.in.Ranges, block, decodeMost, func(rec *kgo.Record, bad *record.Rejected) error {
		if bad != nil {
			n++
			faults += fault(rec.Partition, rec.Offset)
		}
		return nil
	})
	if err == nil && (n != r.in.Rejected || faults != r.in.Faults) {
		return &stopped{Trouble{Class: Disagree, Name: "DECODERS_DISAGREE", Message: fmt.Sprintf("the insert found %d records at fault, this worker finds %d", r.in.Rejected, n)}}
	}
	if err == nil && len(r.in.Bad) > 0 {
		err = r.retry(ctx, block)
	}
	return err
}

// retry tries each row that the server refused alone, which also tells why.
func (r *router) retry(ctx context.Context, block *record.Block) error {
	probe := r.a.Inserter.Probe(r.kind.Table())
	defer probe.Close()
	block.Reset()
	return r.each(ctx, r.in.Bad, block, 1, func(rec *kgo.Record, bad *record.Rejected) error {
		if bad != nil {
			return nil //nolint:nilerr // it is at fault by itself
		}
		var f *clickhouse.Failure
		err := blips(ctx, func() error { return probe.Try(ctx, block.Input()) })
		switch {
		case err == nil:
			return &stopped{Trouble{Class: Disagree, Name: "SERVER_TAKES_IT", Message: fmt.Sprintf("the server takes the record at %d/%d by now", rec.Partition, rec.Offset)}}
		case errors.As(err, &f) && f.Class == clickhouse.Rejected:
			r.refusals[place{rec.Partition, rec.Offset}] = f
			return nil
		}
		return err
	})
}

// why is the cause of a record that is to be routed.
func (r *router) why(rec *kgo.Record, bad *record.Rejected) (cause, bool) {
	f := r.refusals[place{rec.Partition, rec.Offset}]
	switch {
	case bad != nil:
		return undecodable(bad), true
	case f != nil:
		return refused(f), true
	case r.in.All != nil:
		return decided(*r.in.All), true
	}
	return cause{}, false
}

// route sends the letters in blocks bounded like any other, by records, by the
// ranges' own cut, and by bytes: an eighth of a block's.
func (r *router) route(ctx context.Context) error {
	block := r.a.lend(r.kind)
	defer r.a.giveBack(r.kind, block)
	r.reasons = map[string]int64{}
	for _, part := range append(slices.Clone(r.in.Ranges), r.in.Bad...).Sort().Cut(r.in.Limits.BlockRecords) {
		r.letters.reset()
		err := r.each(ctx, part, block, decodeMost, func(rec *kgo.Record, bad *record.Rejected) error {
			why, at := r.why(rec, bad)
			if !at {
				return nil
			}
			if r.letters.bytes > 0 && r.letters.bytes+int64(len(rec.Key)+len(rec.Value)) > r.in.Limits.BlockBytes/letterShare {
				if err := r.flush(ctx); err != nil {
					return err
				}
			}
			r.reasons[why.label()]++
			r.count++
			r.letters.add(r.in.Job, rec, why)
			return nil
		})
		if err != nil {
			return err
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *router) flush(ctx context.Context) error {
	if r.letters.rows() == 0 {
		return nil
	}
	if err := r.allowed(ctx); err != nil {
		return err
	}
	if err := r.a.copyOut(ctx, r.in.Topic, r.letters.copies); err != nil {
		return fmt.Errorf("copy %d dead letters to %s: %w", r.letters.rows(), DeadLetterTopic(r.in.Topic), err)
	}
	token := r.in.token(r.letters.offsets)
	tries := 0
	err := blips(ctx, func() error {
		if err := r.allowed(ctx); err != nil {
			return err
		}
		if !r.sent || !r.told {
			if err := r.pulse.doubt(ctx, Progress{}); err != nil {
				return err
			}
			r.sent, r.told = true, true
		}
		r.resent = r.resent || tries > 0
		tries++
		return r.a.Inserter.Insert(ctx, deadLetters, r.letters.input(), token)
	})
	if err != nil {
		return fmt.Errorf("insert %d dead letters: %w", r.letters.rows(), err)
	}
	r.letters.reset()
	return nil
}

func (r *router) allowed(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !r.pulse.ours():
		return &stopped{Trouble{Class: Outage, Name: "HEARTBEAT_LOST", Message: "no heartbeat was accepted within " + HeartbeatTimeout.String()}}
	}
	return r.in.Warrant.check(r.run)
}
