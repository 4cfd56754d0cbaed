package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/activity"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/record"
)

const deadLetters = "dead_letters"

// letterShare is what part of a block's bytes a block of dead letters may have: each letter is in memory three times, in its column,
// in its copy, and in the driver's buffer. The cut follows from the batch alone, as any other.
const letterShare = 8

// DeadLetterInput names the turn whose undecodable records are to be routed,
// and how its insert counted them.
type DeadLetterInput struct {
	Job
	Warrant  Warrant `json:"warrant"`
	Rejected int64   `json:"rejected"`
	Faults   uint64  `json:"faults"`
}

// Routed counts the dead letters of one turn.
type Routed struct {
	Count int64 `json:"count"`
	Clean bool  `json:"clean"` // first attempt, every answer heard
}

// DeadLetter decodes the job's records again, copies those that cannot be
// decoded to <topic>.dlq, and then puts them into the table dead_letters, raw
// and with the reason.
//
// The table is exact: rows go under the token of exactly their offsets, and the
// look covers them. The copy is at least once, which is why it comes first: a
// record that a look finds in the table is not routed again. Its headers tell a
// repeat. When this decoding finds other records at fault than the insert did
// (another version of the worker), nothing is routed and the workflow looks
// again, so that no record is ever both stored and dead.
func (a *Activities) DeadLetter(ctx context.Context, in DeadLetterInput) (Routed, error) {
	kind, err := a.kind(in.Topic)
	if err != nil {
		return Routed{}, err
	}
	var before Progress // of this round's earlier attempts, which the workflow does not hear of
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &before); err != nil {
			before.Doubt = true
		}
	}
	ctx, beat := a.pulse(ctx, before)
	defer beat.stop()
	r := &router{a: a, in: in, pulse: beat, kind: kind, run: activity.GetInfo(ctx).WorkflowExecution.RunID, sent: before.Doubt}
	err = r.verify(ctx)
	if err == nil {
		err = r.route(ctx)
	}
	if err != nil {
		t := troubleOf(err)
		t.Progress.Doubt = r.sent
		return Routed{}, failIn(ctx, t)
	}
	a.Metrics.deadLettered(in.Topic, r.reasons)
	return Routed{Count: in.Rejected, Clean: activity.GetInfo(ctx).Attempt == 1 && !r.resent}, nil
}

// router finds the records at fault and routes them.
type router struct {
	a     *Activities
	in    DeadLetterInput
	kind  record.Kind
	pulse *pulse
	run   string

	letters      letters
	sent, resent bool
	reasons      map[record.Reason]int64
}

// at calls f for each record of the ranges that cannot be decoded.
func (r *router) at(ctx context.Context, rs batch.Ranges, f func(*kgo.Record, *record.Rejected) error) error {
	probe := r.a.lend(r.kind)
	defer r.a.giveBack(r.kind, probe)
	for _, rg := range rs {
		err := r.a.Reader.Read(ctx, r.in.Topic, r.in.TopicID, rg, func(recs []*kgo.Record) error {
			for _, rec := range recs {
				if probe.Rows() >= 1000 {
					probe.Reset()
				}
				err := probe.Append(rec.Value, record.Coordinates{Topic: r.in.Topic, TopicID: r.in.TopicID, Partition: rec.Partition, Offset: rec.Offset})
				var bad *record.Rejected
				if errors.As(err, &bad) {
					if err := f(rec, bad); err != nil {
						return err
					}
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

// verify makes sure that the same records are at fault as in the insert, before
// anything is routed.
func (r *router) verify(ctx context.Context) error {
	var n int64
	var faults uint64
	err := r.at(ctx, r.in.Ranges, func(rec *kgo.Record, _ *record.Rejected) error {
		n++
		faults += fault(rec.Partition, rec.Offset)
		return nil
	})
	if err == nil && (n != r.in.Rejected || faults != r.in.Faults) {
		err = &stopped{Trouble{Class: Disagree, Name: "DECODERS_DISAGREE", Message: fmt.Sprintf("the insert found %d records at fault, this worker finds %d", r.in.Rejected, n)}}
	}
	return err
}

// route sends the letters in blocks bounded like any other, by records, by the
// ranges' own cut, and by bytes: an eighth of a block's.
func (r *router) route(ctx context.Context) error {
	r.reasons = map[record.Reason]int64{}
	for _, part := range r.in.Ranges.Cut(r.in.Limits.BlockRecords) {
		r.letters.reset()
		err := r.at(ctx, part, func(rec *kgo.Record, bad *record.Rejected) error {
			if r.letters.bytes > 0 && r.letters.bytes+int64(len(rec.Key)+len(rec.Value)) > r.in.Limits.BlockBytes/letterShare {
				if err := r.flush(ctx); err != nil {
					return err
				}
			}
			r.reasons[bad.Reason]++
			r.letters.add(r.in.Job, rec, bad)
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
		if !r.sent {
			if err := r.pulse.doubt(ctx, Progress{}); err != nil {
				return err
			}
			r.sent = true
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
