package planlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ai-backlog/ingest/batch"
)

// doubt is about a partition that may have been truncated.
type doubt struct {
	topicID batch.TopicID
	since   time.Time
	below   bool // it ends below its position; else nobody can tell
	stop    bool // certain: until an operator decides
	at      batch.Position
	cut     *batch.Truncation // of a stop, what this round's leader says of it
	err     error
}

// truncated stops the topic when Kafka lost records that were planned: new ones
// take their offsets, and nobody would read them. A newer leader epoch is asked
// where the position's epoch ends now; an end below the position alone may be a
// stale answer, and is believed when it lasts. A leader that cannot tell is not
// asked for ever: an end that is not below is believed when that lasts.
//
// Doubts outlive the state, since an end grows past its position as soon as
// somebody writes. They do not outlive the planner: only the epoch does.
func (p *Planner) truncated(ctx context.Context, l Logs) error {
	var ask []batch.Position
	for part, log := range l.Partitions {
		at := p.st.reached(part)
		if p.off.noReached {
			at = p.st.at(part)
		}
		known := at.Epoch >= 0 && log.Epoch >= 0 && at.Offset > 0
		d := p.doubts[part]
		if d.stop && at.Epoch > d.at.Epoch { // an entry has gone back: an operator had it resumed
			delete(p.doubts, part)
			d = doubt{}
		}
		if d.stop {
			d.cut = nil
			p.doubts[part] = d
		}
		switch {
		case known && log.Epoch > at.Epoch:
			ask = append(ask, at)
		case d.stop:
		case log.End >= at.Offset || known && log.Epoch < at.Epoch:
			delete(p.doubts, part)
			p.learn(at, log)
		default:
			p.ends(at, log.End)
		}
	}
	err := p.askEpochs(ctx, l, ask)
	if stopped := p.doubted(); errors.Is(stopped, ErrTruncated) || err == nil {
		return stopped
	}
	return err
}

// learn takes the leader's epoch for a position that has none: what is before it
// was written under that one, or before. So a batch knows which records it means,
// though nothing was planned of the partition since.
func (p *Planner) learn(at batch.Position, log Log) {
	if next, ok := p.st.next[at.Partition]; ok && next == at && at.Epoch < 0 && log.End >= at.Offset && !p.off.noLearn {
		at.Epoch = log.Epoch
		p.st.next[at.Partition] = at
	}
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

func (p *Planner) askEpochs(ctx context.Context, l Logs, ask []batch.Position) error {
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
			p.stop(at, end)
			d := p.doubts[at.Partition]
			d.cut = &batch.Truncation{Partition: at.Partition, End: end, Planned: at.Offset, Epoch: at.Epoch, Leader: log.Epoch}
			p.doubts[at.Partition] = d
		case p.doubts[at.Partition].stop: // until an operator decides, whatever is answered
		case !ok && log.End < at.Offset:
			p.ends(at, log.End)
		case ok || p.off.noAsk || p.lasts(at.Partition, false, fmt.Errorf("partition %d of %s has leader epoch %d, which does not know where epoch %d ends: waiting whether that lasts",
			at.Partition, p.cfg.Topic, log.Epoch, at.Epoch)):
			delete(p.doubts, at.Partition)
			at.Epoch = log.Epoch // the new leader has it all: not asked again
			p.st.next[at.Partition] = at
		}
	}
	return nil
}

// ends is a partition that ends below its position.
func (p *Planner) ends(at batch.Position, end int64) {
	if p.lasts(at.Partition, true, fmt.Errorf("partition %d of %s was planned up to %d and ends at %d: waiting whether that lasts", at.Partition, p.cfg.Topic, at.Offset, end)) {
		p.stop(at, end)
	}
}

// lasts tells whether a doubt was there for the quiet time.
func (p *Planner) lasts(part int32, below bool, err error) bool {
	d, ok := p.doubts[part]
	if !ok || d.below != below {
		d = doubt{topicID: p.st.topicID, since: p.now(), below: below}
	}
	d.err = err
	p.doubts[part] = d
	return p.now().Sub(d.since) >= p.cfg.Quiet
}

func (p *Planner) stop(at batch.Position, end int64) {
	p.doubts[at.Partition] = doubt{topicID: p.st.topicID, stop: true, at: at, err: fmt.Errorf("%w: partition %d of %s was planned up to %d and ends at %d: starter resume --topic %s --dry-run shows what was lost, and docs/operations.md says what to do; rows of it are in the way of new records",
		ErrTruncated, at.Partition, p.cfg.Topic, at.Offset, end, p.cfg.Topic)}
}

// doubted is an error while there is a doubt: nothing may be planned or
// committed.
func (p *Planner) doubted() (err error) {
	for _, part := range slices.Sorted(maps.Keys(p.doubts)) {
		d := p.doubts[part]
		if d.stop {
			return d.err
		}
		if err == nil {
			err = d.err
		}
	}
	return err
}

// decided forgets the doubts that an operator has decided, by moving an offset, and
// those about a topic that is no more.
func (p *Planner) decided(st *state) {
	maps.DeleteFunc(p.doubts, func(part int32, d doubt) bool {
		_, moved := st.back[part]
		return moved || d.topicID != st.topicID
	})
}
