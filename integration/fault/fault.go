// Package fault is what goes wrong around the pipeline, done to a running rig on purpose: processes that die or hang, a network that
// does, a ClickHouse that refuses, a deploy in the middle. Each fault lasts for a time, is seen to bite, and heals.
package fault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ai-backlog/ingest/integration/rig"
)

// Target is what faults are done to: a rig with links (rig.Options.Links), and those of its programs that may be ended.
type Target struct {
	*rig.Rig
	Workers, Consumers []*rig.Process
	Other              Build // what a deploy changes to and back
}

// Fault is one thing that goes wrong in one place; faults of one name differ in the place. What it does in detail is drawn from rng
// and nothing else, so the same seed does the same.
type Fault struct {
	Name   string
	Where  string   // the place, if the name has several
	What   string   // how it is made, for a table
	Claims []string // what it has for itself: faults that share one are not to be at work together
	// Inject begins it. An injection that comes with an error heals what was done until then.
	Inject func(ctx context.Context, t *Target, rng *rand.Rand) (*Injection, error)
}

// Injection is a fault at work.
type Injection struct {
	Where string                                   // what it was done to, where there is a choice
	Felt  func(ctx context.Context) (int64, error) // how often it was felt since it began: inserts refused, answers lost, processes gone
	Heal  func(ctx context.Context) error          // ends it; needs a context that is not over
}

// Report is what became of one injection.
type Report struct {
	Fault, Where string
	Felt         int64
	Lasted       time.Duration
}

// What bounds a fault that nothing feels, and its end.
const (
	feelWithin = 90 * time.Second
	healWithin = 2 * time.Minute
)

// errUnfelt is that a fault had no effect: a table that counts it would be a lie.
var errUnfelt = errors.New("nothing felt it")

// Do injects the fault, lets it last, and longer if nothing has felt it yet, and heals it, also when ctx ends meanwhile. A fault
// that nothing feels is an error.
func Do(ctx context.Context, t *Target, f Fault, rng *rand.Rand, lasting time.Duration) (r Report, err error) {
	began := time.Now()
	i, err := f.Inject(ctx, t, rng)
	if i != nil {
		defer func() {
			heal, cancel := context.WithTimeout(context.WithoutCancel(ctx), healWithin)
			defer cancel()
			if bad := i.Heal(heal); bad != nil {
				err = errors.Join(err, fmt.Errorf("heal %s: %w", f.Name, bad))
			}
			r.Lasted = time.Since(began)
		}()
	}
	if err != nil {
		return Report{Fault: f.Name}, fmt.Errorf("inject %s: %w", f.Name, err)
	}
	r = Report{Fault: f.Name, Where: cmp.Or(i.Where, f.Where)}
	pause(ctx, lasting)
	if r.Felt, err = i.feel(ctx); err != nil {
		return r, fmt.Errorf("%s for %s: %w", f.Name, time.Since(began).Round(time.Second), err)
	}
	return r, nil
}

// feel waits until the fault was felt.
func (i *Injection) feel(ctx context.Context) (n int64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, feelWithin, errUnfelt)
	defer cancel()
	for {
		if n, err = i.Felt(ctx); n > 0 && err == nil {
			return n, nil
		}
		if pause(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return 0, errors.Join(context.Cause(ctx), err)
		}
	}
}

// pause waits for the time or the context's end.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// All are the faults, in the order of a table.
func All() []Fault {
	return slices.Concat(processes(), network(), database(), deploys())
}

// Named are those of the names, in that order; all without names.
func Named(names ...string) ([]Fault, error) {
	all := All()
	if len(names) == 0 {
		return all, nil
	}
	var out []Fault
	for _, name := range names {
		before := len(out)
		for _, f := range all {
			if f.Name == name {
				out = append(out, f)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("there is no fault %q: choose of %s", name, strings.Join(Names(all), ", "))
		}
	}
	return out, nil
}

// Names are the faults' names, each once.
func Names(faults []Fault) (out []string) {
	for _, f := range faults {
		if !slices.Contains(out, f.Name) {
			out = append(out, f.Name)
		}
	}
	return out
}
