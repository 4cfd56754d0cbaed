// Package rig runs the whole pipeline as real processes on servers of its own,
// and counts what became of every record.
package rig

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Group is the consumer group of the rig's consumers.
const Group = "ai-backlog-clickhouse-consumer"

// Options say what the rig is made of.
type Options struct {
	Dir        string    // data and logs of everything
	Log        io.Writer // what takes long the first time
	Partitions int       // of each topic; 0: 4
	Brokers    int       // more than one are Apache Kafka, whatever the environment says; 0: one
	NoSync     bool      // the broker leaves flushing to the system
	UI         bool
	Env        []string // of every program, over the rig's own
}

// Rig is three servers and the programs that use them. The servers are processes, and Kafka is the one that INTEGRATION_KAFKA chooses,
// the stand-in unless it is apache; with INTEGRATION_STACK=containers each is in a container, and Kafka is Apache's.
type Rig struct {
	Kafka, ClickHouse, Temporal Server
	Brokers                     []Server // Kafka is the first
	DB                          driver.Conn
	Client                      *kgo.Client // producer and admin

	dir      string
	programs string
	env      []string
	ctx      context.Context //nolint:containedctx // the rig's life
	started  []*Process
	removes  []func() error // of the servers, once they are killed
}

// Start brings the servers up and builds the programs. Close it.
func Start(ctx context.Context, o Options) (*Rig, error) {
	r := &Rig{dir: o.Dir, ctx: ctx}
	var err error
	if r.programs, err = build(ctx, o.Log); err != nil {
		return nil, err
	}
	if err := r.startServers(ctx, o); err != nil {
		r.Close()
		return nil, err
	}
	r.DB, err = clickhouse.Open(&clickhouse.Options{Addr: []string{r.ClickHouse.Addr()}})
	if err != nil {
		return nil, err
	}
	r.Client, err = kgo.NewClient(kgo.SeedBrokers(r.Seeds()...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MaxBufferedRecords(200_000), kgo.ProducerBatchMaxBytes(1<<20))
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(r.ClickHouse.Addr(), ":")
	r.env = append([]string{
		"KAFKA_SERVERS=" + strings.Join(r.Seeds(), ","), "CLICKHOUSE_HOST=" + host, "CLICKHOUSE_PORT=" + port, "TEMPORAL_ADDRESS=" + r.Temporal.Addr(),
		"METRICS_ADDR=off", "KAFKA_SESSION_TIMEOUT=6s", "KAFKA_GROUP_ID=" + Group,
	}, o.Env...)
	return r, nil
}

// Seeds are the addresses of the brokers.
func (r *Rig) Seeds() []string {
	addrs := make([]string, len(r.Brokers))
	for i, b := range r.Brokers {
		addrs[i] = b.Addr()
	}
	return addrs
}

func (r *Rig) servers() []Server {
	return append(slices.Clone(r.Brokers), r.ClickHouse, r.Temporal)
}

// Died says which servers and programs ended though nobody asked them to.
func (r *Rig) Died() error {
	var errs []error
	for _, s := range r.servers() {
		errs = append(errs, s.Died())
	}
	for _, p := range r.started {
		errs = append(errs, p.died())
	}
	return errors.Join(errs...)
}

// Close ends the programs, then the servers.
func (r *Rig) Close() {
	for _, p := range r.started {
		p.Kill()
	}
	if r.Client != nil {
		r.Client.Close()
	}
	for _, s := range r.servers() {
		if s != nil {
			_ = s.Kill()
		}
	}
	for _, remove := range r.removes {
		_ = remove()
	}
}

// Env tells a program where the servers are.
func (r *Rig) Env() []string { return append(os.Environ(), r.env...) }

// Worker starts a worker.
func (r *Rig) Worker(env ...string) (*Process, error) { return r.Launch("worker", env) }

// Consumer starts a consumer.
func (r *Rig) Consumer(env ...string) (*Process, error) { return r.Launch("consumer", env) }

// Starter runs a starter command; its output is in the process's log.
func (r *Rig) Starter(args ...string) (*Process, error) { return r.Launch("starter", nil, args...) }

// Launch starts the program of that name; env goes over what tells it where the servers are.
func (r *Rig) Launch(program string, env []string, args ...string) (*Process, error) {
	name := program + "-" + strconv.Itoa(len(r.started))
	p := &Process{name: name, path: filepath.Join(r.programs, program), args: args, env: append(r.Env(), env...), log: filepath.Join(r.dir, name+".log")}
	if err := p.start(); err != nil {
		return nil, err
	}
	r.started = append(r.started, p)
	return p, nil
}
