package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

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
		undo = append(undo, func() error { d.p.Stop(); return d.p.Replace(old) })
		d.p.Stop()
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

// roll restarts all; it is over when it returns.
func roll(ctx context.Context, t *Target, _ *rand.Rand) (*Injection, error) {
	var done int64
	i := &Injection{
		Felt: func(context.Context) (int64, error) { return done, nil },
		Heal: func(context.Context) error { return nil },
	}
	for _, p := range slices.Concat(t.Workers, t.Consumers) {
		p.Stop()
		if err := p.Restart(); err != nil {
			return i, err
		}
		done++
	}
	for _, s := range append(slices.Clone(t.Brokers), t.Temporal, t.ClickHouse) {
		// A start that is left half-way would leave the server away for ever.
		if err := s.Restart(context.WithoutCancel(ctx)); err != nil {
			return i, fmt.Errorf("restart %s: %w", s.Name(), err)
		}
		done++
	}
	return i, nil
}
