package activities

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
)

// errNotOurs ends an attempt that Temporal has given up.
var errNotOurs = errors.New("the activity is no longer ours")

// Progress is what an attempt has done so far. It travels in heartbeats and in
// failures, so that the next attempt, on any worker, goes on behind it.
type Progress struct {
	Done     int64  `json:"done"`     // offsets of the job, in order, that need nothing more
	Stored   int64  `json:"stored"`   // rows of acknowledged blocks
	Rejected int64  `json:"rejected"` // records that cannot be decoded
	Faults   uint64 `json:"faults"`   // checksum over the coordinates of the rejected
	Holes    int64  `json:"holes"`    // offsets without a record
	Bytes    int64  `json:"bytes"`    // keys and values
	// Doubt is set before anything is sent and says that rows may be in
	// flight or stored without anybody's knowing.
	Doubt bool `json:"doubt,omitempty"`
	// Silent is set with Doubt until the server has answered: it may still be
	// at it. After an answer, even an error, a look sees all that came of it.
	Silent bool `json:"silent,omitempty"`
	// Resent is set for good once a block was sent again after an unknown
	// outcome: the counts alone no longer prove the books.
	Resent bool `json:"resent,omitempty"`
}

// After is the progress to go on from when the last attempt got to q. An attempt
// that could tell nothing of its counts leaves only its doubt.
func (p Progress) After(q Progress) Progress {
	if q.Done < p.Done {
		q, p = p, q
	}
	q.Doubt, q.Silent, q.Resent = p.Doubt || q.Doubt, p.Silent || q.Silent, true
	return q
}

// pulse heartbeats in the background and knows until when the attempt may begin
// an insert. The SDK's own heartbeat does not tell whether it was accepted, so
// the request is sent directly.
type pulse struct {
	beat   func(context.Context, Progress) error
	cancel context.CancelCauseFunc
	stop   func()

	mu       sync.Mutex
	progress Progress
	accepted time.Time // when the last accepted heartbeat was sent
}

func (a *Activities) pulse(ctx context.Context, from Progress) (context.Context, *pulse) {
	token := activity.GetInfo(ctx).TaskToken
	beat := func(ctx context.Context, p Progress) error { return a.Temporal.RecordActivityHeartbeat(ctx, token, p) }
	if a.Temporal == nil { // the SDK's test environment has no server to ask
		beat = func(ctx context.Context, p Progress) error { activity.RecordHeartbeat(ctx, p); return nil }
	}
	ctx, cancel := context.WithCancelCause(ctx)
	p := &pulse{beat: beat, cancel: cancel, progress: from, accepted: time.Now()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(beatEvery)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				_ = p.send(ctx) // ours tells what becomes of it
			}
		}
	}()
	p.stop = func() { cancel(nil); <-done }
	return ctx, p
}

// send heartbeats once; being told that the activity is not ours ends it.
func (p *pulse) send(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := time.Now()
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	err := p.beat(ctx, p.progress)
	var gone *serviceerror.NotFound
	var canceled *temporal.CanceledError
	switch {
	case err == nil:
		p.accepted = sent
	case errors.As(err, &gone), errors.As(err, &canceled):
		p.cancel(errNotOurs)
	}
	return err
}

// note records progress, which the next heartbeat carries.
func (p *pulse) note(to Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress = to
}

// doubt tells Temporal that something is about to be sent. Nothing may be sent before it is nil: when this process dies
// meanwhile, the heartbeat is all that is known of it.
func (p *pulse) doubt(ctx context.Context, to Progress) error {
	to.Doubt, to.Silent = true, true
	p.note(to)
	if err := p.send(ctx); err != nil {
		return &stopped{Trouble{Class: Outage, Name: "HEARTBEAT_LOST", Message: "Temporal did not take the heartbeat that has to come before an insert: " + err.Error()}}
	}
	return nil
}

// ours tells whether an insert may begin: Temporal has not given the activity
// to another worker, since it accepted a heartbeat within the timeout.
func (p *pulse) ours() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	// By the clock that ran further: the monotonic one stands still while the machine is suspended.
	return max(time.Since(p.accepted), time.Now().Round(0).Sub(p.accepted.Round(0))) < HeartbeatTimeout
}
