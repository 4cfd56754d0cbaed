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
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// Group is the consumer group of the rig's consumers.
const Group = "ai-backlog-clickhouse-consumer"

// Options say what the rig is made of.
type Options struct {
	Dir        string        // data and logs of everything
	Log        io.Writer     // what takes long the first time
	Partitions int           // of each topic; 0: 4
	Brokers    int           // more than one are Apache Kafka, whatever the environment says; 0: one
	Apache     bool          // Kafka is Apache's, whatever the environment says
	NoSync     bool          // the broker leaves flushing to the system
	Retention  time.Duration // of Temporal's closed workflows; 0: 7 days
	Memory     uint64        // bytes that ClickHouse may use; 0: 6 GB
	UI         bool
	Links      bool            // the programs reach the servers through Rig.Links; not with several brokers, nor with Secure
	Env        []string        // of every program, over the rig's own
	Programs   string          // folder of the programs; empty: those of this tree, as Build makes them
	Secure     *stack.Security // Kafka is Apache's, whatever the environment says, and has these listeners too
}

// Rig is three servers and the programs that use them. The servers are processes, and Kafka is the one that INTEGRATION_KAFKA chooses,
// the stand-in unless it is apache; with INTEGRATION_STACK=containers each is in a container, and Kafka is Apache's.
type Rig struct {
	Kafka, ClickHouse, Temporal Server
	Brokers                     []Server // Kafka is the first
	Links                       Links
	DB                          driver.Conn
	Client                      *kgo.Client // producer and admin

	dir      string
	programs string
	env      []string
	ctx      context.Context //nolint:containedctx // the rig's life
	mu       sync.Mutex
	started  []*Process
	removes  []func() error // of the servers, once they are killed
	listener func(name string) string
}

// Start brings the servers up and builds the programs. Close it.
func Start(ctx context.Context, o Options) (*Rig, error) {
	r := &Rig{dir: o.Dir, ctx: ctx, programs: o.Programs}
	var err error
	if r.programs == "" {
		if r.programs, err = Build(ctx, o.Log); err != nil {
			return nil, err
		}
	}
	if err := r.startServers(ctx, o); err != nil {
		r.Close()
		return nil, err
	}
	if err := r.connect(); err != nil {
		return nil, err
	}
	r.env = append(r.addresses(), o.Env...)
	return r, nil
}

// connect opens the rig's own connections: they go to the servers themselves.
func (r *Rig) connect() (err error) {
	r.DB, err = clickhouse.Open(&clickhouse.Options{Addr: []string{r.ClickHouse.Addr()}})
	if err != nil {
		return err
	}
	r.Client, err = kgo.NewClient(kgo.SeedBrokers(r.Seeds()...), stack.Direct(r.Kafka.Addr(), r.Links.Kafka.Addr()), kgo.AlwaysRetryEOF(), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MaxBufferedRecords(200_000), kgo.ProducerBatchMaxBytes(1<<20))
	return err
}

// addresses are the settings by which programs find the servers, through the links if there are any.
func (r *Rig) addresses() []string {
	kafka, db, temporal := strings.Join(r.Seeds(), ","), r.ClickHouse.Addr(), r.Temporal.Addr()
	if r.Links.Kafka != nil {
		kafka, db, temporal = r.Links.Kafka.Addr(), r.Links.ClickHouse.Addr(), r.Links.Temporal.Addr()
	}
	host, port, _ := strings.Cut(db, ":")
	return []string{
		"KAFKA_SERVERS=" + kafka, "CLICKHOUSE_HOST=" + host, "CLICKHOUSE_PORT=" + port, "TEMPORAL_ADDRESS=" + temporal,
		"METRICS_ADDR=off", "KAFKA_SESSION_TIMEOUT=6s", "KAFKA_GROUP_ID=" + Group,
	}
}

// ListenerAddr is host:port of the listener of that name among Options.Secure's.
func (r *Rig) ListenerAddr(name string) string { return r.listener(name) }

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
	for _, p := range r.running() {
		errs = append(errs, p.died())
	}
	return errors.Join(errs...)
}

// Close ends the programs, then the servers.
func (r *Rig) Close() {
	for _, p := range r.running() {
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
	r.Links.close()
	for _, remove := range r.removes {
		_ = remove()
	}
}

// running are the programs that were started so far; others may be started meanwhile.
func (r *Rig) running() []*Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.started)
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
	r.mu.Lock()
	defer r.mu.Unlock()
	name := program + "-" + strconv.Itoa(len(r.started))
	env = append(r.Env(), env...)
	p := &Process{name: name, path: filepath.Join(r.programs, program), args: args, env: env, first: len(env), log: filepath.Join(r.dir, name+".log")}
	if err := p.start(); err != nil {
		return nil, err
	}
	r.started = append(r.started, p)
	return p, nil
}
