package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka"
)

const (
	// oldestEvery is how often a partition is looked at while its low watermark goes on.
	oldestEvery = 10 * time.Second
	oldestTick  = time.Second
)

// lookout looks, for one topic, at the oldest unfinished record of each partition with a lag. It has a goroutine and connections
// of its own, so that no planning waits for it.
type lookout struct {
	*kafka.Lookout
	topic   string
	show    *positions
	log     *slog.Logger
	tried   map[int32]time.Time
	refused bool
}

func newLookout(cl *kgo.Client, topic string, show *positions, log *slog.Logger) *lookout {
	return &lookout{Lookout: kafka.NewLookout(cl, topic), topic: topic, show: show, log: log, tried: map[int32]time.Time{}}
}

// run looks until ctx ends.
func (l *lookout) run(ctx context.Context) {
	t := time.NewTicker(oldestTick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.round(ctx)
		}
	}
}

func (l *lookout) round(ctx context.Context) {
	s, known := l.show.lagging(l.topic)
	for _, part := range slices.Sorted(maps.Keys(known)) {
		o := known[part]
		if !o.due(time.Now()) || time.Since(l.tried[part]) < oldestEvery {
			continue
		}
		l.tried[part] = time.Now()
		from := max(s.Low[part], s.Start[part])
		if o.looked { // up to there is nothing
			from = max(from, o.first)
		}
		rg := batch.Range{Partition: part, First: min(from, s.End[part]-1), Last: s.End[part] - 1}
		found, err := l.look(ctx, s.TopicID, rg)
		switch {
		case err == nil:
			l.show.learn(l.topic, part, s, found)
		case ctx.Err() != nil:
			return
		case kafka.IsAuth(err) && !l.refused:
			l.refused = true
			l.log.Warn("metric is not exact", "metric", "ingest_lag_seconds", "topic", l.topic, "error", err)
		default:
			l.log.Debug("oldest record was not looked at", "topic", l.topic, "partition", part, "error", err)
		}
	}
}

func (l *lookout) look(ctx context.Context, id batch.TopicID, rg batch.Range) (oldest, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	offset, at, err := l.First(ctx, id, rg)
	var gone *kafka.LostError
	if errors.As(err, &gone) { // all that there was of it
		offset, at, err = rg.Last+1, time.Time{}, nil
	}
	return oldest{first: offset, stamp: at, looked: true, none: at.IsZero() && offset > rg.Last}, err
}
