// Command bench measures the whole path on this machine: records wait in Kafka,
// then consumer and worker start, and the clock runs until the last row is
// stored. It prints rows/s and the CPU that each process took.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

func main() {
	n := flag.Int("records", 5_000_000, "records, all logs")
	rounds := flag.Int("rounds", 3, "measured rounds; each has servers of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *n, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}

// run keeps the data of all rounds to the end: for minutes after many files were deleted, ext4 searches long for a free inode
// whenever a file is made there, which costs ClickHouse a fifth more CPU.
func run(ctx context.Context, n, rounds int) error {
	dir, err := os.MkdirTemp("", "ai-backlog-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer rig.Clean()
	for i := range rounds {
		if err := round(ctx, filepath.Join(dir, strconv.Itoa(i)), i, n); err != nil {
			return err
		}
	}
	return nil
}

// round fills the topics, then measures how long the pipeline takes to store it all.
func round(ctx context.Context, dir string, number, n int) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, NoSync: true})
	if err != nil {
		return err
	}
	defer r.Close()
	var sent rig.Sent
	if err := r.Produce(ctx, load.New(1, load.Mix{}), n, &sent, nil); err != nil {
		return err
	}
	worker, err := r.Worker()
	if err != nil {
		return err
	}
	if err := r.AwaitLog(ctx, worker, "worker is ready"); err != nil {
		return err
	}
	pids := map[string]int{"kafka stand-in": r.Kafka.PID(), "temporal": r.Temporal.PID(), "clickhouse": r.ClickHouse.PID(), "worker": worker.PID()}
	before, err := rig.CPU(pids)
	if err != nil {
		return err
	}
	began := time.Now()
	consumer, err := r.Consumer()
	if err != nil {
		return err
	}
	pids["consumer"] = consumer.PID()
	if err := r.Drain(ctx, &sent); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := rig.CPU(pids)
	if err != nil {
		return err
	}
	books, err := r.Count(ctx)
	if err != nil {
		return err
	}
	if err := books.Exact(&sent); err != nil {
		return err
	}
	return show(number, n, took, before, after)
}

func show(number, n int, took time.Duration, before, after map[string]float64) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "round %d\t%d rows in %s\t%.0f rows/s\n", number+1, n, took.Round(10*time.Millisecond), float64(n)/took.Seconds())
	for _, name := range []string{"kafka stand-in", "consumer", "temporal", "worker", "clickhouse"} {
		_, _ = fmt.Fprintf(w, "\t%s\t%.2f CPU-s per million rows\n", name, (after[name]-before[name])*1e6/float64(n))
	}
	both := after["worker"] - before["worker"] + after["clickhouse"] - before["clickhouse"]
	_, _ = fmt.Fprintf(w, "\tworker + clickhouse\t%.2f CPU-s per million rows\n", both*1e6/float64(n))
	return w.Flush()
}
