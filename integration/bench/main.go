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
	list := flag.String("setups", "", "measured in turn in each round, like 'workers=1; workers=2; workers=1 partitions=50 BATCH_WINDOW=4'; what is no variable of the programs is workers or partitions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *n, *rounds, *list); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}

// run keeps the data of all rounds to the end: for minutes after many files were deleted, ext4 searches long for a free inode
// whenever a file is made there, which costs ClickHouse a fifth more CPU.
func run(ctx context.Context, n, rounds int, list string) error {
	all, err := setups(list)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ai-backlog-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer rig.Clean()
	for i := range rounds {
		for j, s := range all {
			if err := s.round(ctx, filepath.Join(dir, strconv.Itoa(i*len(all)+j)), i, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// measured are the processes whose CPU is told.
var measured = []string{"kafka stand-in", "consumer", "temporal", "worker", "clickhouse"}

// round fills the topics, then measures how long the pipeline takes to store it all.
func (s setup) round(ctx context.Context, dir string, number, n int) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	o := s.options(dir)
	o.Log = os.Stderr
	r, err := rig.Start(ctx, o)
	if err != nil {
		return err
	}
	defer r.Close()
	var sent rig.Sent
	if err := r.Produce(ctx, load.New(1, load.Mix{}), n, &sent, nil); err != nil {
		return err
	}
	workers, err := s.start(ctx, r)
	if err != nil {
		return err
	}
	before, err := s.cpu(r, workers, nil)
	if err != nil {
		return err
	}
	began := time.Now()
	consumer, err := r.Consumer()
	if err != nil {
		return err
	}
	if err := r.Drain(ctx, &sent); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := s.cpu(r, workers, consumer)
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
	for name := range after {
		after[name] -= before[name]
	}
	b, err := batches(ctx, r, workers)
	if err != nil {
		return err
	}
	return s.show(number, n, took, after, b)
}

func (s setup) start(ctx context.Context, r *rig.Rig) (workers []*rig.Process, err error) {
	for range s.workers {
		w, err := r.Worker(rig.MetricsAnywhere)
		if err != nil {
			return nil, err
		}
		workers = append(workers, w)
	}
	for _, w := range workers {
		if err := r.AwaitLog(ctx, w, "worker is ready"); err != nil {
			return nil, err
		}
	}
	return workers, nil
}

// cpu is the seconds that each has taken, all workers together.
func (s setup) cpu(r *rig.Rig, workers []*rig.Process, consumer *rig.Process) (map[string]float64, error) {
	pids := map[string]int{"kafka stand-in": r.Kafka.PID(), "temporal": r.Temporal.PID(), "clickhouse": r.ClickHouse.PID()}
	if consumer != nil {
		pids["consumer"] = consumer.PID()
	}
	for i, w := range workers {
		pids["worker "+strconv.Itoa(i)] = w.PID()
	}
	taken, err := rig.CPU(pids)
	for i := range workers {
		taken["worker"] += taken["worker "+strconv.Itoa(i)]
	}
	return taken, err
}

// work is what the batches took of Temporal.
type work struct{ batches, events, heartbeats int64 }

func batches(ctx context.Context, r *rig.Rig, workers []*rig.Process) (w work, err error) {
	if err := r.Settled(ctx); err != nil {
		return w, err
	}
	all, err := r.Find(ctx, `WorkflowType = "Ingest"`)
	if err != nil {
		return w, err
	}
	for _, b := range all {
		w.batches++
		w.events += b.History
	}
	for _, p := range workers {
		m, err := p.Metrics(ctx)
		if err != nil {
			return w, err
		}
		w.heartbeats += int64(m.Sum("temporal_request_total", `operation="RecordActivityTaskHeartbeat"`))
	}
	return w, nil
}

func (s setup) show(number, n int, took time.Duration, taken map[string]float64, b work) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "round %d\t%d rows in %s\t%.0f rows/s\t%s\n", number+1, n, took.Round(10*time.Millisecond), float64(n)/took.Seconds(), s.name)
	for _, name := range measured {
		_, _ = fmt.Fprintf(w, "\t%s\t%.2f CPU-s per million rows\t%.1f CPU-ms per batch\n", name, taken[name]*1e6/float64(n), taken[name]*1e3/float64(b.batches))
	}
	_, _ = fmt.Fprintf(w, "\tworker + clickhouse\t%.2f CPU-s per million rows\n", (taken["worker"]+taken["clickhouse"])*1e6/float64(n))
	_, _ = fmt.Fprintf(w, "\tbatches\t%d\t%.1f events of history, %.1f heartbeats each\n", b.batches, float64(b.events)/float64(b.batches), float64(b.heartbeats)/float64(b.batches))
	return w.Flush()
}
