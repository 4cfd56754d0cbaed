package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/container"
)

// Server is one of the rig's servers, wherever it runs. Its address and its data are the same through any number of kills.
type Server interface {
	Name() string     // kafka, clickhouse or temporal
	Addr() string     // host:port on loopback of the broker, of ClickHouse's native protocol, or of Temporal's frontend
	HTTPAddr() string // of ClickHouse's HTTP interface or Temporal's UI; empty where there is none
	PID() int         // of its process, or 0 while it does not run

	Start(ctx context.Context) error // returns when it answers
	Stop() error                     // by SIGTERM; returns when it is gone, if need be by SIGKILL, which is an error
	Kill() error                     // by SIGKILL; returns when it is gone
	Freeze() error                   // connections stay open, and nothing is answered
	Thaw() error
	Died() error // nil unless it ended though nobody asked it to
}

// stackVariable chooses what the servers run in.
const stackVariable = "INTEGRATION_STACK"

// Containers tells whether the environment wants every server in a container.
func Containers() (bool, error) {
	switch choice := os.Getenv(stackVariable); choice {
	case "":
		return false, nil
	case "containers":
		return true, nil
	default:
		return false, fmt.Errorf("%s=%s: want containers, or leave it unset for processes", stackVariable, choice)
	}
}

// startServers makes the servers and starts them all at once.
func (r *Rig) startServers(ctx context.Context, o Options) error {
	in, err := Containers()
	if err == nil && o.Links {
		r.Links, err = newLinks()
	}
	switch {
	case err != nil:
	case in:
		err = r.containers(ctx, o)
	default:
		err = r.processes(ctx, o)
	}
	if err != nil {
		return err
	}
	r.Kafka = r.Brokers[0]
	if err := r.Links.open(r); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range r.servers() {
		g.Go(func() error { return s.Start(ctx) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("start servers: %w", err)
	}
	return nil
}

func (r *Rig) kafka(o Options) stack.KafkaOptions {
	return stack.KafkaOptions{Dir: filepath.Join(o.Dir, "kafka"), Partitions: o.Partitions, NoSync: o.NoSync, Advertise: r.Links.Kafka.Addr(), Secure: o.Secure}
}

func (o Options) clickHouse() stack.ClickHouseOptions {
	return stack.ClickHouseOptions{Dir: filepath.Join(o.Dir, "clickhouse"), Memory: o.Memory}
}

func (o Options) temporal() stack.TemporalOptions {
	return stack.TemporalOptions{Dir: filepath.Join(o.Dir, "temporal"), NoUI: !o.UI, Retention: o.Retention}
}

// processes makes servers of devstack's.
func (r *Rig) processes(ctx context.Context, o Options) error {
	name, err := stack.ChosenKafka()
	if err != nil {
		return err
	}
	if o.Apache || o.Brokers > 1 || o.Secure != nil {
		name = stack.ApacheKafkaName
	}
	k, c, t := r.kafka(o), o.clickHouse(), o.temporal()
	bin, err := stack.Prepare(ctx, o.Log, name, stack.ClickHouseName, stack.TemporalName)
	if err != nil {
		return err
	}
	k.Binaries, c.Binaries, t.Binaries = bin, bin, bin
	brokers, err := kafkas(k, name, o.Brokers)
	if err != nil {
		return err
	}
	r.Brokers, r.listener = servers(brokers), brokers[0].ListenerAddr
	clickHouse, err := stack.ClickHouse(c)
	if err != nil {
		return err
	}
	r.ClickHouse = clickHouse
	temporal, err := stack.Temporal(t)
	if err != nil {
		return err
	}
	r.Temporal = temporal
	return nil
}

func kafkas(k stack.KafkaOptions, name string, brokers int) ([]*stack.Server, error) {
	if brokers > 1 {
		return stack.ApacheKafkaCluster(k, brokers)
	}
	start := stack.Kafka
	if name == stack.ApacheKafkaName {
		start = stack.ApacheKafka
	}
	one, err := start(k)
	return []*stack.Server{one}, err
}

// containers makes servers in containers of the images that the environment names.
func (r *Rig) containers(ctx context.Context, o Options) error {
	if o.Secure != nil {
		return errors.New("a broker in a container has its plain listener only")
	}
	d, err := container.Connect(ctx)
	if err != nil {
		return err
	}
	brokers, err := d.Kafka(r.kafka(o), max(1, o.Brokers))
	if err != nil {
		return err
	}
	clickHouse, err := d.ClickHouse(o.clickHouse())
	if err != nil {
		return err
	}
	temporal, err := d.Temporal(o.temporal())
	if err != nil {
		return err
	}
	r.Brokers, r.ClickHouse, r.Temporal = servers(brokers), clickHouse, temporal
	for _, s := range append(brokers, clickHouse, temporal) {
		r.removes = append(r.removes, s.Remove)
	}
	return nil
}

func servers[S Server](of []S) []Server {
	out := make([]Server, len(of))
	for i, s := range of {
		out[i] = s
	}
	return out
}
