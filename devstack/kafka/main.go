//go:build unix

// Command kafka serves franz-go's kfake, a stand-in for Kafka, on one loopback port with its data in a directory.
//
// It ends when it is sent SIGTERM or SIGINT, or when its standard input reaches its end, that is, when its parent is gone.
// Records, topics with their IDs, committed offsets and what tells a producer's repeats survive SIGKILL; with -sync=false the last
// of them may not survive the crash of the machine. Unlike a broker it limits neither the size of a request nor that of a commit's
// metadata.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

type options struct {
	dir        string
	port       int
	advertise  string
	topics     string
	partitions int
	autoCreate bool
	sync       bool
	verbose    bool
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func run() error {
	o, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP)
	if err := recoverSequences(o.dir); err != nil {
		return fmt.Errorf("read what producers have sent: %w", err)
	}
	cluster, err := kfake.NewCluster(o.kfake()...)
	if err != nil {
		return fmt.Errorf("start kfake: %w", err)
	}
	if err := evict(cluster, o.port); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	select {
	case <-ends:
	case <-gone:
	}
	cluster.Close()
	return nil
}

// evict keeps the groups free of dead members until the process ends.
func evict(cluster *kfake.Cluster, port int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), direct(port))
	if err != nil {
		return fmt.Errorf("connect to kfake: %w", err)
	}
	go watch(cluster).run(context.Background(), cl)
	return nil
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("kafka", flag.ContinueOnError)
	flags.StringVar(&o.dir, "data", "", "directory of the data; it is made if it is missing")
	flags.IntVar(&o.port, "port", 9092, "port of the only broker")
	flags.StringVar(&o.advertise, "advertise", "", "host:port that clients are told to come by; empty: where it listens")
	flags.StringVar(&o.topics, "topics", "ai_backlog_logs,ai_backlog_metrics,ai_backlog_events", "topics to make if they are missing")
	flags.IntVar(&o.partitions, "partitions", 4, "partitions of each topic that is made")
	flags.BoolVar(&o.autoCreate, "auto-create", false, "make a topic when a client asks for one that does not exist")
	flags.BoolVar(&o.sync, "sync", true, "fsync every write")
	flags.BoolVar(&o.verbose, "verbose", false, "log what the stand-in does")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.dir == "" {
		return o, errors.New("-data is required")
	}
	if o.partitions < 1 || o.partitions > 10_000 {
		return o, fmt.Errorf("-partitions=%d: want 1 to 10000", o.partitions)
	}
	return o, nil
}

func (o options) kfake() []kfake.Opt {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.Ports(o.port),
		kfake.DataDir(o.dir),
		kfake.ListenFn(o.listen),
		kfake.DefaultNumPartitions(o.partitions),
	}
	if o.topics != "" {
		opts = append(opts, kfake.SeedTopics(int32(o.partitions), strings.Split(o.topics, ",")...)) //nolint:gosec // checked by parse
	}
	if o.autoCreate {
		opts = append(opts, kfake.AllowAutoTopicCreation())
	}
	if o.sync {
		opts = append(opts, kfake.SyncWrites())
	}
	if o.verbose {
		opts = append(opts, kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelInfo)))
	}
	return opts
}
