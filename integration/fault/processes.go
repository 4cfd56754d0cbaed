package fault

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/ai-backlog/ingest/integration/rig"
)

// What faults claim.
const (
	workers    = "workers"
	consumers  = "consumers"
	kafka      = "kafka"
	clickhouse = "clickhouse"
	temporal   = "temporal"
)

// process is one of our programs or a server.
type process struct {
	name    string
	pid     func() int // of the one that runs; of the last one, or 0, if none does
	kill    func() error
	restart func(ctx context.Context) error
	freeze  func() error
	thaw    func() error
}

func program(p *rig.Process) process {
	return process{
		name: p.Name(), pid: p.PID, freeze: p.Freeze, thaw: p.Thaw,
		kill:    func() error { p.Kill(); return nil },
		restart: func(context.Context) error { return p.Restart() },
	}
}

func server(s rig.Server) process {
	return process{name: s.Name(), pid: s.PID, freeze: s.Freeze, thaw: s.Thaw, kill: s.Kill, restart: s.Start}
}

// kinds are the processes that faults choose from, by what they claim.
var kinds = []struct {
	claim, singular string
	of              func(t *Target) []process
}{
	{consumers, "consumer", func(t *Target) []process { return programs(t.Consumers) }},
	{workers, "worker", func(t *Target) []process { return programs(t.Workers) }},
	{kafka, "broker", func(t *Target) []process { return []process{server(t.Kafka)} }},
	{temporal, "temporal", func(t *Target) []process { return []process{server(t.Temporal)} }},
	{clickhouse, "clickhouse", func(t *Target) []process { return []process{server(t.ClickHouse)} }},
}

func programs(all []*rig.Process) (out []process) {
	for _, p := range all {
		out = append(out, program(p))
	}
	return out
}

// processes are SIGKILL and SIGSTOP of each kind of process.
func processes() (out []Fault) {
	for _, k := range kinds {
		out = append(out, Fault{
			Name: "kill-" + k.singular, Claims: []string{k.claim}, What: "SIGKILL of " + k.singular + "; it is started again after the time",
			Inject: func(_ context.Context, t *Target, rng *rand.Rand) (*Injection, error) {
				p := choose(rng, k.of(t))
				pid := p.pid()
				return &Injection{Where: p.name, Felt: gone(pid), Heal: p.restart}, p.kill()
			},
		})
	}
	for _, k := range kinds {
		out = append(out, Fault{
			Name: "freeze-" + k.singular, Claims: []string{k.claim}, What: "SIGSTOP of " + k.singular + "; SIGCONT after the time",
			Inject: func(_ context.Context, t *Target, rng *rand.Rand) (*Injection, error) {
				p := choose(rng, k.of(t))
				thaw := func(context.Context) error { return p.thaw() }
				return &Injection{Where: p.name, Felt: stopped(p.pid()), Heal: thaw}, p.freeze()
			},
		})
	}
	return out
}

func choose[T any](rng *rand.Rand, of []T) T { return of[rng.IntN(len(of))] }

// gone counts one if there is no such process.
func gone(pid int) func(context.Context) (int64, error) {
	return func(context.Context) (int64, error) { return count(state(pid) == 0), nil }
}

// stopped counts one if the process is stopped by a signal.
func stopped(pid int) func(context.Context) (int64, error) {
	return func(context.Context) (int64, error) {
		if s := state(pid); s != 'T' {
			return 0, fmt.Errorf("process %d is in state %q", pid, s)
		}
		return 1, nil
	}
}

func count(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
