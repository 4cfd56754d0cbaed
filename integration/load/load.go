// Package load makes realistic records of AI agents, and knows of each whether
// the pipeline can store it.
package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Topics that records go to.
const (
	Logs    = "ai_backlog_logs"
	Metrics = "ai_backlog_metrics"
	Events  = "ai_backlog_events"
)

// Mix is what share of the records is what; the rest are logs.
type Mix struct {
	Metrics, Events float64
	Broken          float64 // cannot be decoded, in various ways
}

// Agents is the demo's mix: 80 % logs, 15 % metrics, 5 % events, one in a
// thousand broken.
var Agents = Mix{Metrics: 0.15, Events: 0.05, Broken: 0.001}

// Generator is deterministic by its seed. It is for one goroutine.
type Generator struct {
	mix  Mix
	rng  *rand.Rand
	n    int64
	seed uint64
}

// New is a generator whose records are numbered from 0.
func New(seed uint64, mix Mix) *Generator {
	return &Generator{mix: mix, rng: rand.New(rand.NewPCG(seed, 7)), seed: seed} //nolint:gosec // reproducible on purpose
}

// Next is a record, and whether it is broken.
func (g *Generator) Next() (r *kgo.Record, broken bool) {
	g.n++
	x, agent := g.rng.Float64(), g.rng.IntN(200)
	r = &kgo.Record{Key: []byte("agent-" + strconv.Itoa(agent))}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	switch {
	case x < g.mix.Metrics:
		r.Topic, r.Value = Metrics, g.metric(now, agent)
	case x < g.mix.Metrics+g.mix.Events:
		r.Topic, r.Value = Events, g.event(now, agent)
	default:
		r.Topic, r.Value = Logs, g.log(now, agent)
	}
	if broken = g.rng.Float64() < g.mix.Broken; broken {
		r.Value = g.spoil(r.Value)
	}
	return r, broken
}

var (
	levels  = []string{"INFO", "INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN", "ERROR"}
	tools   = []string{"web_search", "read_file", "write_file", "run_tests", "sql_query", "http_get", "plan", "summarize"}
	models  = []string{"small-2", "large-4", "vision-1", "code-3"}
	regions = []string{"eu-west-1", "eu-central-1", "us-east-1", "us-west-2"}
	names   = []string{"llm.tokens", "llm.latency_ms", "tool.calls", "agent.steps", "context.bytes"}
	types   = []string{"task_started", "task_completed", "tool_called", "handoff", "error_raised"}
)

func pick(r *rand.Rand, s []string) string { return s[r.IntN(len(s))] }

func (g *Generator) log(now string, agent int) []byte {
	r := g.rng
	return fmt.Appendf(nil, `{"timestamp":%q,"level":%q,"message":"step %d of plan %08x: called %s in %dms, %d tokens in, %d tokens out","service":"agents-%s","agent_id":"agent-%d","trace_id":"%016x%016x","span_id":"%016x","attributes":{"model":%q,"region":%q,"attempt":%d,"cached":%t,"tool":%q}}`,
		now, pick(r, levels), g.n, r.Uint32(), pick(r, tools), r.IntN(5000), r.IntN(8000), r.IntN(2000), pick(r, regions), agent, r.Uint64(), r.Uint64(), r.Uint64(), pick(r, models), pick(r, regions), 1+r.IntN(3), r.IntN(2) == 0, pick(r, tools))
}

func (g *Generator) metric(now string, agent int) []byte {
	r := g.rng
	return fmt.Appendf(nil, `{"timestamp":%q,"name":%q,"value":%.3f,"unit":"1","service":"agents-%s","agent_id":"agent-%d","tags":{"model":%q,"tool":%q}}`,
		now, pick(r, names), r.Float64()*1000, pick(r, regions), agent, pick(r, models), pick(r, tools))
}

func (g *Generator) event(now string, agent int) []byte {
	r := g.rng
	return fmt.Appendf(nil, `{"timestamp":%q,"type":%q,"service":"agents-%s","agent_id":"agent-%d","task_id":"task-%08x","payload":{"tool":%q,"arguments":{"path":"/data/%d.json","limit":%d},"ok":true}}`,
		now, pick(r, types), pick(r, regions), agent, r.Uint32(), pick(r, tools), r.IntN(1000), r.IntN(100))
}

// spoil breaks a good record in one of the ways that happen.
func (g *Generator) spoil(v []byte) []byte {
	switch g.rng.IntN(6) {
	case 0:
		return v[:len(v)/2] // truncated
	case 1:
		return append(v, `{"again":1}`...) // trailing data
	case 2:
		return []byte(`{"service":"agents","agent_id":"agent-1"}`) // required fields missing
	case 3:
		return []byte("not json at all")
	case 4:
		return append(append([]byte{}, `{"timestamp":"yesterday",`...), v[len(`{"timestamp":"2026-11-24T02:22:00.123456789Z",`)-4:]...)
	default:
		return []byte("{\"timestamp\":1,\"level\":\"INFO\",\"name\":\"x\",\"type\":\"x\",\"value\":1,\"message\":\"\xff\xfe\",\"service\":\"\xff\"}") // not UTF-8
	}
}
