package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ai-backlog/ingest/integration/rig"
)

// Build is our programs in another version, with other settings.
type Build struct {
	Worker, Consumer       string   // paths of the programs; "": those that run
	WorkerEnv, ConsumerEnv []string // what differs in the settings
}

// Changed are settings that a deploy may change while batches are under way: how much a worker does at once, in how much memory, and
// how it sends; how the consumer cuts batches, which every batch carries with it.
var Changed = Build{
	WorkerEnv:   []string{"WORKER_INSERTS=2", "WORKER_MEMORY_MIB=300", "CLICKHOUSE_COMPRESSION=lz4"},
	ConsumerEnv: []string{"BATCH_RECORDS=2000", "BATCH_BYTES=8388608", "BATCH_LINGER=200ms", "BATCH_WINDOW=6"},
}

// deploys are those that change our programs one after the other.
func deploys() []Fault {
	return []Fault{
		{
			Name: "deploy", Claims: []string{workers, consumers}, What: "one worker and one consumer are replaced by the other build with other settings (SIGTERM), and back after the time: both versions work side by side",
			Inject: deploy,
		},
		{
			Name: "rolling-restart", Claims: []string{workers, consumers, kafka, clickhouse, temporal}, What: "every process is ended (SIGTERM) and started again, one after the other, programs first",
			Inject: roll,
		},
	}
}

// deploy replaces one of each.
func deploy(_ context.Context, t *Target, rng *rand.Rand) (*Injection, error) {
	var undo []func() error
	i := &Injection{Heal: func(context.Context) error {
		for _, f := range undo {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	}}
	worker, consumer := choose(rng, t.Workers), choose(rng, t.Consumers)
	i.Where = worker.Name() + ", " + consumer.Name()
	before := []int{worker.PID(), consumer.PID()}
	i.Felt = func(context.Context) (int64, error) {
		return count(worker.Alive() && worker.PID() != before[0]) + count(consumer.Alive() && consumer.PID() != before[1]), nil
	}
	for _, d := range []struct {
		p    *rig.Process
		path string
		env  []string
	}{{worker, t.Other.Worker, t.Other.WorkerEnv}, {consumer, t.Other.Consumer, t.Other.ConsumerEnv}} {
		old := d.p.Path()
		undo = append(undo, func() error { return errors.Join(stop(d.p), d.p.Replace(old)) })
		if err := stop(d.p); err != nil {
			return i, err
		}
		path := d.path
		if path == "" {
			path = old
		}
		if err := d.p.Replace(path, d.env...); err != nil {
			return i, err
		}
	}
	return i, nil
}

// stopWithin is how long a program may take to end when it is asked to. A worker gives its activities 10 s, and a server that does
// not answer may hold a program up for as long as its fault lasts.
const stopWithin = time.Minute

// stop ends the program by SIGTERM. It is gone then, in any case.
func stop(p *rig.Process) error {
	ended := make(chan struct{})
	go func() { p.Stop(); close(ended) }()
	t := time.NewTimer(stopWithin)
	defer t.Stop()
	select {
	case <-ended:
		return nil
	case <-t.C:
		p.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.Name(), stopWithin)
	}
}

// roll restarts all; it is over when it returns.
func roll(ctx context.Context, t *Target, _ *rand.Rand) (*Injection, error) {
	var done int64
	i := &Injection{
		Felt: func(context.Context) (int64, error) { return done, nil },
		Heal: func(context.Context) error { return nil },
	}
	for _, p := range slices.Concat(t.Workers, t.Consumers) {
		if err := errors.Join(stop(p), p.Restart()); err != nil {
			return i, err
		}
		done++
	}
	for _, s := range append(slices.Clone(t.Brokers), t.Temporal, t.ClickHouse) {
		if err := s.Stop(); err != nil && s.PID() != 0 { // one that was killed since it took too long has ended, too
			return i, err
		}
		// A start that is left half-way would leave the server away for ever.
		if err := s.Start(context.WithoutCancel(ctx)); err != nil {
			return i, err
		}
		done++
	}
	return i, nil
}
