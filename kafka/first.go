package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
)

const (
	firstFetches = 4       // of one look at most: it meets nothing but holes then
	nextFetch    = 1 << 20 // bytes, where the first one met holes only
)

var errFound = errors.New("a record was found")

// Lookout finds the first record of what is unfinished in a topic's partitions. It is for one goroutine.
type Lookout struct {
	cl      *kgo.Client
	topic   string
	unpack  kgo.Decompressor
	leaders map[int32]int32
}

// NewLookout opens nothing.
func NewLookout(cl *kgo.Client, topic string) *Lookout {
	return &Lookout{cl: cl, topic: topic, unpack: kgo.DefaultDecompressor(), leaders: map[int32]int32{}}
}

// First is the first committed record of the range: its offset, and its timestamp as Kafka has it, of the record or of its
// arrival. Where Kafka has deleted the beginning of the range, it is the first that is left. A zero time says that no record was
// found below the offset that it came to, which is behind the range's last one if there is none at all. It is one small fetch,
// and where it meets offsets without a record (control records, aborted transactions, compaction) a few more.
func (l *Lookout) First(ctx context.Context, id batch.TopicID, rg batch.Range) (offset int64, at time.Time, err error) {
	f := &fetcher{cl: l.cl, topic: l.topic, id: id, rg: rg, epoch: -1, at: rg.First, leader: -1, size: minFetch, most: minFetch, unpack: l.unpack}
	if leader, ok := l.leaders[rg.Partition]; ok {
		f.leader = leader
	}
	f.each = func(recs []*kgo.Record) error {
		offset, at = recs[0].Offset, recs[0].Timestamp
		return errFound
	}
	for range firstFetches {
		if err = f.step(ctx); err != nil || f.at > rg.Last {
			break
		}
		f.size, f.most = max(f.size, nextFetch), nextFetch
	}
	l.leaders[rg.Partition] = f.leader
	var gone *LostError
	switch {
	case errors.Is(err, errFound):
		return offset, at, nil
	case errors.As(err, &gone) && gone.Start <= rg.Last:
		rg.First = gone.Start
		return l.First(ctx, id, rg)
	case err != nil:
		delete(l.leaders, rg.Partition)
		return f.at, time.Time{}, Denied(err, "Read on topic %s", l.topic)
	}
	return min(f.at, rg.Last+1), time.Time{}, nil
}
