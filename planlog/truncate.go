package planlog

import (
	"context"
	"fmt"
	"time"

	"github.com/ai-backlog/ingest/batch"
)

// truncated stops the topic when Kafka lost records that were planned: new ones
// take their offsets, and nobody would read them. A newer leader epoch is asked
// where the position's epoch ends now; an end below the position alone may be a
// stale answer, and is believed when it lasts. A leader that cannot tell is not
// asked for ever: an end that is not below is believed when that lasts.
func (p *Planner) truncated(ctx context.Context, l Logs) error {
	st := p.st
	var ask []batch.Position
	for part, log := range l.Partitions {
		at := st.reached(part)
		known := at.Epoch >= 0 && log.Epoch >= 0 && at.Offset > 0
		switch {
		case known && log.Epoch > at.Epoch:
			ask = append(ask, at)
		case log.End >= at.Offset || known && log.Epoch < at.Epoch:
			delete(p.doubts, part)
		default:
			return p.ends(at, log.End)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	ends, err := p.kafka.EpochEnds(ctx, ask)
	if err != nil {
		return fmt.Errorf("ask for ends of leader epochs: %w", err)
	}
	for _, at := range ask {
		log := l.Partitions[at.Partition]
		end, ok := ends[at.Partition]
		switch {
		case ok && end < at.Offset:
			return p.stop(at, end)
		case !ok && log.End < at.Offset:
			return p.ends(at, log.End)
		case !ok && !p.lasts(at.Partition, false):
			return fmt.Errorf("partition %d of %s has leader epoch %d, which does not know where epoch %d ends: waiting whether that lasts",
				at.Partition, p.cfg.Topic, log.Epoch, at.Epoch)
		}
		delete(p.doubts, at.Partition)
		at.Epoch = log.Epoch // the new leader has it all: not asked again
		st.next[at.Partition] = at
	}
	return nil
}

// reached is up to where a partition was planned, whatever of it is to be planned
// again. Where an operator moved the offset that is all there is.
func (st *state) reached(part int32) batch.Position {
	at := st.at(part)
	if next, ok := st.next[part]; ok && next.Offset >= at.Offset {
		return next
	}
	return at
}

// doubt is about a partition that may have been truncated.
type doubt struct {
	since time.Time
	below bool // it ends below its position; else nobody can tell
}

// lasts tells whether a doubt was there for the quiet time.
func (p *Planner) lasts(part int32, below bool) bool {
	d, ok := p.doubts[part]
	if !ok || d.below != below {
		d = doubt{p.now(), below}
		p.doubts[part] = d
	}
	return p.now().Sub(d.since) >= p.cfg.Quiet
}

// ends is a partition that ends below its position: an error in any case, since
// nothing may be planned or committed, and the end of it when it lasts.
func (p *Planner) ends(at batch.Position, end int64) error {
	if p.lasts(at.Partition, true) {
		return p.stop(at, end)
	}
	return fmt.Errorf("partition %d of %s was planned up to %d and ends at %d: waiting whether that lasts", at.Partition, p.cfg.Topic, at.Offset, end)
}

func (p *Planner) stop(at batch.Position, end int64) error {
	p.stopped = fmt.Errorf("%w: partition %d of %s was planned up to %d and ends at %d: see `starter resume --topic %s --at end`",
		ErrTruncated, at.Partition, p.cfg.Topic, at.Offset, end, p.cfg.Topic)
	p.until = p.now().Add(stoppedFor)
	p.st = nil // what the operator decides is found by a takeover
	return p.stopped
}
