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

const (
	// maxBad is how many offsets an isolation names: what a history can carry.
	// The search ends there, and the workflow goes on behind it.
	maxBad = 500
	// floodAfter is how many bad rows have to be found before a sample is taken
	// to see whether it goes on like that: one bad row among many should cost
	// no more than its search.
	floodAfter = 64
	// floodSample rows are tried one by one. What they show is sampleMargin rows
	// too many, or too few, once in 15,000 times.
	floodSample, sampleMargin = 64, 16
)

// IsolateInput names a block that the server refuses because of a value: the
// job's ranges.
type IsolateInput struct {
	Job
	// Flood is how many bad rows are too many to be bad data: behind maxBad the
	// search goes on until it is known whether there are more. 0: any number is fine.
	Flood int64 `json:"flood,omitempty"`
}

// Isolated is what is wrong with a block.
type Isolated struct {
	Bad     batch.Ranges `json:"bad,omitempty"` // rows that the server refuses, sorted, at most maxBad offsets
	Through int64        `json:"through"`       // offsets of the job, in order, whose bad rows are all named
	Rows    int64        `json:"rows"`          // records of the block that can be decoded
	Trials  int          `json:"trials"`        // inserts into the clone
	// Taken says that the clone takes the whole block: no value is at fault.
	Taken bool `json:"taken,omitempty"`
	// Flood says that more rows are bad than may be, counted or by a sample; the
	// search ended with that.
	Flood bool `json:"flood,omitempty"`
}

// Isolate finds the rows of a block that the server refuses. It stores nothing,
// so it is safe to run any number of times: it bisects against a temporary clone
// with the engine Null, which checks the same constraints and has no parts and no
// views. One bad row among n costs 2·log₂(n)+1 trials at most.
//
// The block is in memory twice, raw and as columns. So there is one search at a
// time in a worker; another one waits, and heartbeats.
func (a *Activities) Isolate(ctx context.Context, in IsolateInput) (Isolated, error) {
	kind, err := a.kind(in.Topic)
	if err != nil {
		return Isolated{}, err
	}
	ctx, beat := a.pulse(ctx, Progress{})
	defer beat.stop()
	a.searching.Lock()
	defer a.searching.Unlock()
	if ctx.Err() != nil {
		return Isolated{}, failIn(ctx, troubleOf(context.Cause(ctx)))
	}
	s := &search{in: in, probe: a.Inserter.Probe(kind.Table()), block: a.lend(kind), bad: map[int]bool{}, guard: in.Flood > 0}
	defer a.giveBack(kind, s.block)
	defer s.probe.Close()
	if err = s.read(ctx, a); err == nil {
		err = s.all(ctx)
	}
	if err != nil {
		return Isolated{}, failIn(ctx, troubleOf(fmt.Errorf("search the rows that ClickHouse refuses: %w", err)))
	}
	out := s.result()
	activity.GetLogger(ctx).Info("rows isolated", "batch", in.Workflow, "topic", in.Topic, "rows", out.Rows, "bad", out.Bad.Len(), "trials", out.Trials, "flood", out.Flood)
	return out, nil
}

// raw is a record's value, and where it belongs.
type raw struct {
	value []byte
	at    record.Coordinates
}

// search bisects the rows of one block.
type search struct {
	in    IsolateInput
	probe *clickhouse.Probe
	block *record.Block
	rows  []raw

	bad   map[int]bool // rows that the server refuses, maxBad at most
	ended int          // rows up to the last of them
	count int          // of all that were found
	guard bool         // whether a flood is still possible
	taken bool
	flood bool
}

// errEnough ends a search.
var errEnough = errors.New("enough")

// read keeps the records that can be decoded; the others are at fault already.
func (s *search) read(ctx context.Context, a *Activities) error {
	for _, r := range s.in.Ranges {
		err := a.read(ctx, s.in.Job, r, func(recs []*kgo.Record) error {
			for _, rec := range recs {
				s.keep(rec)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read %s %s: %w", s.in.Topic, r, err)
		}
	}
	return nil
}

func (s *search) keep(rec *kgo.Record) {
	at := record.Coordinates{Topic: s.in.Topic, TopicID: s.in.TopicID, Partition: rec.Partition, Offset: rec.Offset, Timestamp: rec.Timestamp}
	if s.block.Rows() >= 1000 {
		s.block.Reset()
	}
	if s.block.Append(rec.Value, at) != nil {
		return
	}
	s.rows = append(s.rows, raw{slices.Clone(rec.Value), at})
}

// try tells whether the clone takes the rows [lo, hi).
func (s *search) try(ctx context.Context, lo, hi int) (bool, error) {
	s.block.Reset()
	for _, r := range s.rows[lo:hi] {
		if err := s.block.Append(r.value, r.at); err != nil {
			return false, err // it was decoded before
		}
	}
	var f *clickhouse.Failure
	err := blips(ctx, func() error { return s.probe.Try(ctx, s.block.Input()) })
	if errors.As(err, &f) && f.Class == clickhouse.Rejected {
		return false, nil
	}
	return err == nil, err
}

func (s *search) all(ctx context.Context) error {
	ok, err := s.try(ctx, 0, len(s.rows))
	if ok || err != nil {
		s.taken = ok
		return err
	}
	s.guard = s.guard && int64(len(s.rows)) > s.in.Flood
	if err = s.bisect(ctx, 0, len(s.rows)); errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// bisect finds all bad rows of [lo, hi), which has at least one, in order.
func (s *search) bisect(ctx context.Context, lo, hi int) error {
	if hi-lo == 1 {
		return s.found(ctx, lo)
	}
	mid := lo + (hi-lo)/2
	left, err := s.try(ctx, lo, mid)
	if err != nil {
		return err
	}
	if left { // then it is on the right
		return s.bisect(ctx, mid, hi)
	}
	if err := s.bisect(ctx, lo, mid); err != nil {
		return err
	}
	right, err := s.try(ctx, mid, hi)
	if right || err != nil {
		return err
	}
	return s.bisect(ctx, mid, hi)
}

func (s *search) found(ctx context.Context, row int) error {
	s.count++
	if len(s.bad) < maxBad {
		s.bad[row] = true
		s.ended = row + 1
	}
	if s.guard && s.count == floodAfter {
		if err := s.sample(ctx); err != nil {
			return err
		}
	}
	s.flood = s.flood || s.guard && int64(s.count) > s.in.Flood
	if s.flood || !s.guard && len(s.bad) == maxBad {
		return errEnough
	}
	return nil
}

// sample tries single rows, evenly spread: few bad ones are no flood, most are
// one, and in between all have to be counted.
func (s *search) sample(ctx context.Context) error {
	bad := 0
	for i := range floodSample {
		row := i * len(s.rows) / floodSample
		ok, err := s.try(ctx, row, row+1)
		if err != nil {
			return err
		}
		if !ok {
			bad++
		}
	}
	share := func(n int) int64 { return int64(n) * int64(len(s.rows)) / floodSample }
	s.guard, s.flood = share(bad+sampleMargin) > s.in.Flood, share(bad-sampleMargin) > s.in.Flood
	return nil
}

func (s *search) result() Isolated {
	out := Isolated{Through: s.in.Ranges.Len(), Rows: int64(len(s.rows)), Trials: s.probe.Tries(), Taken: s.taken, Flood: s.flood}
	if s.flood {
		out.Through = 0
		return out
	}
	for row := range s.rows {
		if s.bad[row] {
			at := s.rows[row].at
			out.Bad = append(out.Bad, batch.Range{Partition: at.Partition, First: at.Offset, Last: at.Offset})
		}
	}
	out.Bad = out.Bad.Sort()
	if len(s.bad) == maxBad && s.ended < len(s.rows) {
		out.Through = position(s.in.Ranges, s.rows[s.ended-1].at) + 1
	}
	return out
}

// position is how many offsets of the ranges come before the record.
func position(rs batch.Ranges, at record.Coordinates) (n int64) {
	for _, r := range rs {
		if r.Partition == at.Partition && r.First <= at.Offset && at.Offset <= r.Last {
			return n + at.Offset - r.First
		}
		n += r.Len()
	}
	return n
}
