package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// mix has a share of broken records, so that dead letters are in nearly every batch.
var mix = load.Mix{Metrics: 0.15, Events: 0.05, Broken: 0.002}

// producer sends records at a rate, straight to the broker: no fault lies between but the broker's own. Its client is idempotent,
// wants every acknowledgement and tries for ever, so what it was given and what Kafka has are the same once it has flushed.
type producer struct {
	client *kgo.Client
	gen    *load.Generator
	rate   int
	sent   rig.Sent // what was acknowledged
	failed atomic.Pointer[error]
}

// run produces until ctx ends, then waits for the acknowledgements, for as long as whole allows.
func (p *producer) run(ctx, whole context.Context) error {
	const ticks = 20 // a second
	t := time.NewTicker(time.Second / ticks)
	defer t.Stop()
	began, n := time.Now(), 0
	for ctx.Err() == nil {
		for due := int(time.Since(began).Seconds() * float64(p.rate)); n < due && ctx.Err() == nil; n++ {
			p.produce(whole)
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	flush, cancel := context.WithTimeout(whole, drainWithin)
	defer cancel()
	if err := p.client.Flush(flush); err != nil {
		return fmt.Errorf("wait for Kafka's acknowledgements: %w", err)
	}
	if err := p.failed.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	return nil
}

// produce waits while the client's buffer is full.
func (p *producer) produce(ctx context.Context) {
	rec, broken := p.gen.Next()
	p.client.Produce(ctx, rec, func(_ *kgo.Record, err error) {
		switch {
		case err != nil:
			p.failed.CompareAndSwap(nil, &err)
		case broken:
			p.sent.Broken.Add(1)
		default:
			p.sent.Good.Add(1)
		}
	})
}

func (p *producer) acknowledged() int64 { return p.sent.Good.Load() + p.sent.Broken.Load() }
