package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ai-backlog/ingest/integration/fault"
)

// lanes is how many faults are at work at the same time, when they are mixed.
const lanes = 2

// rng is one of several sources of the seed, which do not depend on each other's course.
func (c *chaos) rng(n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(c.Seed, n)) //nolint:gosec // reproducible on purpose
}

// alone does every fault of the name once, one after the other.
func (c *chaos) alone(ctx context.Context, name string, rng *rand.Rand) (injected int, err error) {
	for _, f := range c.faults {
		if f.Name != name {
			continue
		}
		rest(ctx, time.Second+time.Duration(rng.Int64N(int64(time.Second)))) // records flow before
		if err := c.do(ctx, f, rng); err != nil {
			return injected, err
		}
		injected++
	}
	return injected, ctx.Err()
}

func (c *chaos) do(ctx context.Context, f fault.Fault, rng *rand.Rand) error {
	own := rand.New(rand.NewPCG(rng.Uint64(), 0)) //nolint:gosec // what the fault draws changes nothing for those after it
	r, err := fault.Do(ctx, c.target, f, own, c.lasting(rng))
	if err != nil {
		return err
	}
	c.logf("  %s %s for %s, felt %d times", r.Fault, r.Where, seconds(r.Lasted), r.Felt)
	return nil
}

// mixed does faults at random until the time is up, a quarter of it at least, and there are enough records. Each lane deals out all faults, in an order of its
// own, before it begins again; faults that would be done to the same thing wait for each other.
func (c *chaos) mixed(ctx context.Context) (int, error) {
	var injected atomic.Int64
	whole := time.Duration(c.Seconds) * time.Second
	until := max(whole, time.Since(c.began)+whole/4)
	enough := func() bool { return time.Since(c.began) > until && c.producer.acknowledged() >= c.Records }
	claims := newClaims()
	g, ctx := errgroup.WithContext(ctx)
	for lane := range lanes {
		rng := c.rng(uint64(lane) + 1)
		g.Go(func() error {
			for ctx.Err() == nil {
				for _, i := range rng.Perm(len(c.faults)) {
					rest(ctx, time.Second+time.Duration(rng.Int64N(int64(5*time.Second))))
					if injected.Load() > 0 && enough() {
						return nil
					}
					f := c.faults[i]
					give, err := claims.take(ctx, f.Claims)
					if err != nil {
						return err
					}
					err = c.do(ctx, f, rng)
					give()
					if err != nil {
						return err
					}
					injected.Add(1)
				}
			}
			return ctx.Err()
		})
	}
	err := g.Wait()
	return int(injected.Load()), err
}

// claims are what the faults at work have for themselves.
type claims struct {
	mu     sync.Mutex
	taken  []string
	change chan struct{} // closed when something is given back
	queue  sync.Mutex    // who wants many things waits at the front, and is not passed over for ever
}

func newClaims() *claims { return &claims{change: make(chan struct{})} }

// take waits until all are free, and has them all at once.
func (c *claims) take(ctx context.Context, wanted []string) (give func(), err error) {
	c.queue.Lock()
	defer c.queue.Unlock()
	for {
		c.mu.Lock()
		free := !slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(c.taken, w) })
		if free {
			c.taken = append(c.taken, wanted...)
		}
		change := c.change
		c.mu.Unlock()
		if free {
			return func() { c.giveBack(wanted) }, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %v: %w", wanted, ctx.Err())
		case <-change:
		}
	}
}

func (c *claims) giveBack(what []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = slices.DeleteFunc(c.taken, func(t string) bool { return slices.Contains(what, t) })
	close(c.change)
	c.change = make(chan struct{})
}

// rest waits for the time or the context's end.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
