package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/fault"
	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// drainWithin is how long all records may take to get their place once the last fault has healed. A batch that a full disk has
// blocked tries again after a minute; what was in doubt waits for the quiet time, 75 s.
const drainWithin = 5 * time.Minute

// chaos is one run.
type chaos struct {
	Config
	target   *fault.Target
	producer *producer
	watch    *watch
	began    time.Time
	before   rig.Books // at the end of the row before
	counted  int64     // acknowledged at that time
	rows     []row
	versions string // of what runs
}

// run is the whole matrix; its error says which promise did not hold. Then the logs stay.
func run(ctx context.Context, cfg Config) (err error) {
	fmt.Fprintf(cfg.log, "CHAOS_SEED=%d CHAOS_SECONDS=%d CHAOS_RATE=%d CHAOS_RECORDS=%d\n", cfg.Seed, cfg.Seconds, cfg.Rate, cfg.Records)
	dir, err := os.MkdirTemp("", "ai-backlog-chaos-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\nCHAOS_SEED=%d; logs and data are in %s", err, cfg.Seed, dir)
			return
		}
		_ = os.RemoveAll(dir)
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: cfg.log, NoSync: true, Links: true, Memory: 2_500_000_000})
	if err != nil {
		return err
	}
	defer r.Close()
	c := &chaos{Config: cfg, target: &fault.Target{Rig: r}, began: time.Now()}
	c.producer = &producer{client: r.Client, gen: load.New(cfg.Seed, mix), rate: cfg.Rate}
	c.watch = &watch{rig: r, acknowledged: c.producer.acknowledged}
	if c.versions, err = c.about(ctx, dir); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	go c.watch.run(ctx)
	if err := errors.Join(c.matrix(ctx), c.show(c.header(), c.rows)); err != nil {
		return err
	}
	return c.audit(ctx)
}

// start brings up two of each program, so that one takes over from the other.
func (c *chaos) start(ctx context.Context) error {
	t := c.target
	for range 2 {
		worker, err := t.Worker()
		if err != nil {
			return err
		}
		consumer, err := t.Consumer()
		if err != nil {
			return err
		}
		t.Workers, t.Consumers = append(t.Workers, worker), append(t.Consumers, consumer)
		ready, cancel := context.WithTimeout(ctx, 2*time.Minute)
		err = errors.Join(t.AwaitLog(ready, worker, "worker is ready"), t.AwaitLog(ready, consumer, "consumer is ready"))
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// matrix is each fault alone, then all mixed.
func (c *chaos) matrix(ctx context.Context) error {
	c.began = time.Now()
	rng := c.rng(0)
	for _, name := range fault.Names(c.faults) {
		err := c.row(ctx, name, func(ctx context.Context) (int, error) { return c.alone(ctx, name, rng) })
		if err != nil {
			return err
		}
	}
	return c.row(ctx, "mixed", c.mixed)
}

// row sends records while the faults are done, waits until each record has its place, and counts.
func (c *chaos) row(ctx context.Context, name string, faults func(context.Context) (int, error)) error {
	c.logf("%s", name)
	c.watch.begin()
	r := row{name: name}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return c.producer.run(sending, ctx) })
	injected, err := faults(ctx)
	healed := time.Now()
	stop()
	if err := errors.Join(err, g.Wait(), c.target.Died()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	drain, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	if err := c.target.Drain(drain, &c.producer.sent); err != nil {
		return fmt.Errorf("%s: not every record has its place %s after the last fault: %w%s", name, drainWithin, err, c.open(ctx))
	}
	r.drain, r.stall, r.injected = time.Since(healed), c.watch.stall(), injected
	if err := c.target.Settled(drain); err != nil {
		return fmt.Errorf("%s: batches are not over: %w%s", name, err, c.open(ctx))
	}
	return c.balance(ctx, r)
}

// balance is the books of the row: the difference to those before it, exactly.
func (c *chaos) balance(ctx context.Context, r row) error {
	books, err := c.target.Count(ctx)
	if err != nil {
		return err
	}
	all := c.producer.acknowledged()
	r.records = all - c.counted
	r.books = rig.Books{
		Stored: books.Stored - c.before.Stored, Dead: books.Dead - c.before.Dead,
		Duplicates: books.Duplicates - c.before.Duplicates, Both: books.Both - c.before.Both,
	}
	r.lost = r.records - r.books.Stored - r.books.Dead + r.books.Duplicates + r.books.Both
	c.rows, c.before, c.counted = append(c.rows, r), books, all
	c.logf("%s: %d records, %d faults, stall %s, drained in %s", r.name, r.records, r.injected, seconds(r.stall), seconds(r.drain))
	if err := books.Exact(&c.producer.sent); err != nil {
		return fmt.Errorf("%s: the books are wrong: %w", r.name, err)
	}
	return nil
}

// audit asks the product itself at the end.
func (c *chaos) audit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	for _, topic := range []string{load.Logs, load.Metrics, load.Events} {
		if err := c.target.Marked(ctx, topic); err != nil {
			return err
		}
		p, err := c.target.Starter("audit", "--all", "--json", "--topic", topic)
		if err != nil {
			return err
		}
		code, err := p.Wait(ctx)
		if err != nil {
			return err
		}
		if code != 0 {
			return fmt.Errorf("starter audit --all --topic %s ended with %d:\n%s", topic, code, p.Log())
		}
		c.logf("starter audit --all --topic %s: clean", topic)
	}
	return nil
}

// open names the batches that are not over.
func (c *chaos) open(ctx context.Context) (out string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	all, err := c.target.Find(ctx, `WorkflowType = "Ingest" AND ExecutionStatus = "Running"`)
	if err != nil {
		return "\nopen batches: " + err.Error()
	}
	for _, b := range all[:min(len(all), 20)] {
		out += fmt.Sprintf("\nopen: %s %s %s", b.ID, b.State, b.Error)
	}
	return out
}

// about prepares the other build, and names what runs.
func (c *chaos) about(ctx context.Context, dir string) (versions string, err error) {
	other, clickhouse := "none", ""
	if slices.Contains(fault.Names(c.faults), "deploy") {
		if c.target.Other, other, err = c.otherBuild(ctx, dir); err != nil {
			return "", err
		}
		c.logf("deploys: %s", other)
	}
	kafka := c.kafka
	if kafka == stack.KafkaName {
		kafka = "the stand-in"
	}
	if err := c.target.DB.QueryRow(ctx, "SELECT version()").Scan(&clickhouse); err != nil {
		return "", fmt.Errorf("version of ClickHouse: %w", err)
	}
	commit, err := rig.Command(ctx, ".", "git", "describe", "--always", "--dirty")
	if err != nil {
		commit = "unknown"
	}
	return fmt.Sprintf("commit %s · Kafka: %s · ClickHouse %s · deploys: %s · %d cores, %s", commit, kafka, clickhouse, other, runtime.NumCPU(), runtime.Version()), nil
}

// header says what the table is of.
func (c *chaos) header() string {
	return fmt.Sprintf("%s · CHAOS_SEED=%d · %.0f s · %d records, up to %d a second · faults of 1 to %.0f s · %s",
		c.began.UTC().Format(time.DateOnly), c.Seed, time.Since(c.began).Seconds(), c.producer.acknowledged(), c.Rate, c.longest().Seconds(), c.versions)
}

// logf prints with the time since the beginning.
func (c *chaos) logf(format string, args ...any) {
	fmt.Fprintf(c.log, "%7.1f s  %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}
