package monitor

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// ErrNotYet is a Reader's answer while there is nothing to ask. It is asked again within a second.
var ErrNotYet = errors.New("nothing to read yet")

const notYet = time.Second

// Reader asks a server again and again for what a Reading shows. An error ends nothing: what was not read is not shown for long.
type Reader struct {
	Log     *slog.Logger
	What    string // the metric, for the log
	Every   time.Duration
	Limit   time.Duration // of one question
	Read    func(context.Context) error
	Refused func(error) bool // an error that asking again does not cure: it is told, once; nil: none is told

	told bool
}

// Run asks at once, and then every so often until ctx ends.
func (r *Reader) Run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		wait := r.Every
		if errors.Is(r.once(ctx), ErrNotYet) {
			wait = notYet
		}
		t.Reset(wait)
	}
}

// once asks. That a server is away is told by those who need it.
func (r *Reader) once(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	err := r.Read(limited)
	switch {
	case err == nil:
		r.told = false
	case ctx.Err() != nil || errors.Is(err, ErrNotYet):
	case r.Refused != nil && r.Refused(err) && !r.told:
		r.told = true
		r.Log.Warn("metric is not shown", "metric", r.What, "error", err)
	default:
		r.Log.Debug("metric was not read", "metric", r.What, "error", err)
	}
	return err
}
