package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/fault"
	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

const (
	sampleEvery = 10 * time.Second
	// retained is what Kafka keeps of a partition: over ten minutes of the default rate, and no fault takes one.
	retained, segment = "536870912", "67108864"
	drainWithin       = 10 * time.Minute
)

var topics = []string{load.Logs, load.Metrics, load.Events}

// soak is a run: two programs of each kind, of which faults are done to the second ones only, so that the first ones grow as old
// as the run.
type soak struct {
	options
	*rig.Rig
	target  fault.Target
	watched []watched
	dir     string
	sent    rig.Sent
	samples []sample
	felt    int
}

func run(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.Minutes)*time.Minute+2*drainWithin)
	defer cancel()
	dir, err := os.MkdirTemp("", "ai-backlog-soak-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer rig.Clean()
	s := &soak{options: o, dir: dir}
	s.Rig, err = rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, Links: true, Retention: o.Kept, Env: []string{"KAFKA_SESSION_TIMEOUT=10s"}})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.begin(ctx); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "soak: %d minutes of %d records/s, a fault every %s, seed %d\n", o.Minutes, o.Rate, o.Every, o.Seed)
	return errors.Join(s.live(ctx), picture(s.samples, o.Out), s.judge(ctx))
}

// begin limits the topics by size and starts the programs.
func (s *soak) begin(ctx context.Context) error {
	kept, segments := retained, segment
	changed, err := kadm.NewClient(s.Client).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.bytes", Value: &kept}, {Name: "segment.bytes", Value: &segments}}, topics...)
	for _, c := range changed {
		err = errors.Join(err, c.Err)
	}
	if err != nil {
		return fmt.Errorf("limit the topics: %w", err)
	}
	s.watched = []watched{{name: "kafka", pid: s.Kafka.PID}, {name: "clickhouse", pid: s.ClickHouse.PID}, {name: "temporal", pid: s.Temporal.PID}}
	for i := range 2 {
		for _, program := range []string{"worker", "consumer"} {
			port, _, err := stack.ReservePort() // until this process ends
			if err != nil {
				return err
			}
			metrics := fmt.Sprintf("127.0.0.1:%d", port)
			p, err := s.Launch(program, []string{"METRICS_ADDR=" + metrics})
			if err != nil {
				return err
			}
			switch {
			case i == 0:
				s.watched = append(s.watched, watched{name: program, pid: p.PID, metrics: metrics})
			case program == "worker":
				s.target.Workers = append(s.target.Workers, p)
			default:
				s.target.Consumers = append(s.target.Consumers, p)
			}
		}
	}
	s.target.Rig, s.target.Other = s.Rig, fault.Changed
	return nil
}

// live produces, samples and breaks until the time is over.
func (s *soak) live(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Minutes)*time.Minute)
	defer cancel()
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.produce(ctx) })
	g.Go(func() error { return s.breakThings(ctx) })
	g.Go(func() error {
		look := sampler{rig: s.Rig, database: filepath.Join(s.dir, "temporal", "temporal.db*"), sent: &s.sent, watched: s.watched}
		return every(ctx, sampleEvery, func() error {
			s.samples = append(s.samples, look.take(ctx, time.Since(began)))
			return s.Died()
		})
	})
	return g.Wait()
}

// every calls do at each tick until the context ends, which is no error.
func every(ctx context.Context, d time.Duration, do func() error) error {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := do(); err != nil {
				return err
			}
		}
	}
}

// produce sends the rate; what a broker has not answered is sent again until it does.
func (s *soak) produce(ctx context.Context) error {
	gen := load.New(s.Seed, load.Agents)
	whole := context.WithoutCancel(ctx) // every record that was handed over is acknowledged before the count is read
	began, sent := time.Now(), 0
	return every(ctx, time.Second/10, func() error {
		due := int(time.Since(began).Seconds() * float64(s.Rate))
		n := min(due-sent, s.Rate) // what a broker held up comes after it, a second's worth at a time
		sent += n
		return s.Produce(whole, gen, n, &s.sent, nil)
	})
}

// breakThings does a fault every so often, one at a time.
func (s *soak) breakThings(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(s.Seed, 6)) //nolint:gosec // reproducible on purpose
	all, err := fault.Named(s.Faults...)
	if err != nil {
		return err
	}
	if len(s.Faults) == 0 {
		all = slices.DeleteFunc(all, func(f fault.Fault) bool { return f.Name == "memory-limit" })
	}
	return every(ctx, s.Every, func() error {
		f := all[rng.IntN(len(all))]
		r, err := fault.Do(ctx, &s.target, f, rng, time.Second+time.Duration(rng.Int64N(int64(s.Every/2))))
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the time was over before it was felt
		}
		if err != nil {
			return err
		}
		s.felt++
		fmt.Fprintf(os.Stderr, "soak: %s %s for %s, felt %d times; %d records acknowledged\n", r.Fault, r.Where, r.Lasted.Round(time.Second/10), r.Felt, s.sent.Good.Load()+s.sent.Broken.Load())
		return nil
	})
}

// judge waits until every record has its place, and tells what is not as it should be.
func (s *soak) judge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	if err := errors.Join(s.Drain(ctx, &s.sent), s.Settled(ctx)); err != nil {
		return err
	}
	books, err := s.Count(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%d records acknowledged, %d stored, %d dead-lettered, %d duplicates; %d faults; picture in %s\n",
		s.sent.Good.Load()+s.sent.Broken.Load(), books.Stored, books.Dead, books.Duplicates, s.felt, filepath.Base(s.Out))
	return errors.Join(s.audit(ctx), books.Exact(&s.sent), flat(s.samples))
}

// audit has every topic audited, from its first offset.
func (s *soak) audit(ctx context.Context) error {
	for _, t := range topics {
		if err := s.Marked(ctx, t); err != nil {
			return err
		}
		audit, err := s.Starter("audit", "--all", "--topic", t)
		if err != nil {
			return err
		}
		code, err := audit.Wait(ctx)
		if err != nil {
			return err
		}
		fmt.Println(strings.TrimSpace(audit.Log()))
		if code != 0 {
			return fmt.Errorf("the audit of %s ended with %d", t, code)
		}
	}
	return nil
}
