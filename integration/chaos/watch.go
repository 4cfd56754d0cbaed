package main

import (
	"context"
	"sync"
	"time"

	"github.com/ai-backlog/ingest/integration/rig"
)

// watch follows how many records have their place, and for how long none more had while some were waiting.
type watch struct {
	rig          *rig.Rig
	acknowledged func() int64

	mu      sync.Mutex
	placed  int64
	since   time.Time // of the last progress, or of when there was nothing to wait for
	longest time.Duration
}

// run looks five times a second until ctx ends.
func (w *watch) run(ctx context.Context) {
	w.since = time.Now()
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for ctx.Err() == nil {
		acknowledged := w.acknowledged() // before the rows: none of them is ahead of it
		ask, cancel := context.WithTimeout(ctx, 2*time.Second)
		rows, err := w.rig.Placed(ask)
		cancel()
		w.look(time.Now(), acknowledged, rows, err)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// look takes in one answer; none counts as no progress.
func (w *watch) look(now time.Time, acknowledged, rows int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest = max(w.longest, now.Sub(w.since))
	if err == nil && (rows >= acknowledged || rows > w.placed) {
		w.placed, w.since = rows, now
	}
}

// begin forgets the longest stall so far.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest, w.since = 0, time.Now()
}

// stall is the longest since begin.
func (w *watch) stall() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.longest
}
