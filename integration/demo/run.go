package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

type options struct {
	records int
	outage  time.Duration
	limit   time.Duration
	keep    bool
	log     io.Writer
}

// run is the whole demo; its error says which promise did not hold.
func run(ctx context.Context, o options) error {
	fmt.Fprintln(o.log, "The first run downloads ClickHouse (180 MB) and builds Temporal: five to ten minutes. Later runs take about a minute.")
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "ai-backlog-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer rig.Clean()
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: o.log, NoSync: true, UI: true})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := start(r); err != nil {
		return err
	}
	ui := "http://" + r.Temporal.HTTPAddr()
	fmt.Fprintf(o.log, "Batches in Temporal's UI, while this runs: %s\n", ui)

	var sent rig.Sent
	began := time.Now()
	away := make(chan error, 1)
	if err := send(ctx, r, o, &sent, away); err != nil {
		return err
	}
	fmt.Fprintf(o.log, "%d records acknowledged; waiting until each has its place\n", sent.Good.Load()+sent.Broken.Load())
	if err := <-away; err != nil {
		return err
	}
	if err := r.Drain(ctx, &sent); err != nil {
		return err
	}
	took := time.Since(began)
	if err := r.Settled(ctx); err != nil {
		return err
	}
	books, err := r.Count(ctx)
	if err != nil {
		return err
	}
	if err := table(ctx, r, &sent, books, took-o.outage); err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintf(o.log, "Everything stays up, Temporal's UI at %s; ctrl-C ends it.\n", ui)
		<-ctx.Done()
	}
	return books.Exact(&sent)
}

func start(r *rig.Rig) error {
	if _, err := r.Worker(); err != nil {
		return err
	}
	_, err := r.Consumer()
	return err
}

// send produces the records with a progress bar, and takes ClickHouse away in
// the middle. away is told how that went.
func send(ctx context.Context, r *rig.Rig, o options, sent *rig.Sent, away chan<- error) error {
	bar := progressbar.NewOptions(o.records, progressbar.OptionSetWriter(o.log), progressbar.OptionSetDescription("sending"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(200*time.Millisecond))
	gen := load.New(uint64(time.Now().UnixNano()), load.Agents) //nolint:gosec // any seed will do
	if err := r.Produce(ctx, gen, o.records/2, sent, func(n int64) { _ = bar.Set64(n) }); err != nil {
		return err
	}
	if err := r.ClickHouse.Kill(); err != nil {
		return fmt.Errorf("kill ClickHouse: %w", err)
	}
	fmt.Fprintf(o.log, "\nClickHouse was killed (SIGKILL) and is away for %s\n", o.outage)
	go func() {
		t := time.NewTimer(o.outage)
		defer t.Stop()
		select {
		case <-ctx.Done():
			away <- ctx.Err()
		case <-t.C:
			fmt.Fprintln(o.log, "\nClickHouse is started again")
			away <- r.ClickHouse.Start(ctx)
		}
	}()
	err := r.Produce(ctx, gen, o.records-o.records/2, sent, func(n int64) { _ = bar.Set64(n) })
	_ = bar.Finish()
	fmt.Fprintln(o.log)
	return err
}

// table prints what a reader wants to know.
func table(ctx context.Context, r *rig.Rig, sent *rig.Sent, b rig.Books, took time.Duration) error {
	p50, p99, err := r.Freshness(ctx)
	if err != nil {
		return err
	}
	batches, err := r.Batches(ctx)
	if err != nil {
		return err
	}
	retries, err := r.Retries(ctx)
	if err != nil {
		return err
	}
	total := sent.Good.Load() + sent.Broken.Load()
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	for _, row := range [][2]any{
		{"sent and acknowledged", total},
		{"stored", b.Stored},
		{"dead-lettered", b.Dead},
		{"duplicates", b.Duplicates},
		{"lost", total - b.Stored - b.Dead},
		{"rows/s, outage not counted", int64(float64(total) / took.Seconds())},
		{"freshness p50, outage included", p50.Round(time.Millisecond)},
		{"freshness p99, outage included", p99.Round(time.Millisecond)},
		{"batches", batches},
		{"retries", retries},
	} {
		_, _ = fmt.Fprintf(w, "%s\t%v\n", row[0], row[1])
	}
	return w.Flush()
}
