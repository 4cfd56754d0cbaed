package planlog

import (
	"context"
	"fmt"

	"github.com/ai-backlog/ingest/batch"
)

// truncated stops the topic when Kafka lost records that were planned: new ones
// take their offsets, and nobody would read them. A newer leader epoch is asked
// where the position's epoch ends now; an end below the position alone may be a
// stale answer, and is believed when it lasts.
func (p *Planner) truncated(ctx context.Context, l Logs) error {
	st := p.st
	var ask []batch.Position
	for part, log := range l.Partitions {
		at := st.at(part)
		known := at.Epoch >= 0 && log.Epoch >= 0 && at.Offset > 0
		switch {
		case known && log.Epoch > at.Epoch:
			ask = append(ask, at)
		case log.End >= at.Offset || known && log.Epoch < at.Epoch:
			delete(p.short, part)
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
		case ok:
			delete(p.short, at.Partition)
			at.Epoch = log.Epoch // the new leader has it all: not asked again
			st.next[at.Partition] = at
		case log.End < at.Offset:
			return p.ends(at, log.End)
		}
	}
	return nil
}

// ends is a partition that ends below its position: an error in any case, since
// nothing may be planned or committed, and the end of it when it lasts.
func (p *Planner) ends(at batch.Position, end int64) error {
	since, ok := p.short[at.Partition]
	if !ok {
		since = p.now()
		p.short[at.Partition] = since
	}
	if p.now().Sub(since) >= p.cfg.Quiet {
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
