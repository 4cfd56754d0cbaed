package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/ai-backlog/ingest/client"
	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// agent is a program that stores records through the client, numbered from 1.
type agent struct {
	*rig.Process
	number int
	killed bool
}

// report is a line that an agent prints.
type report struct {
	Accepted, Flushed, Again int64
	Closed                   bool
	Error                    string
	client.Stats
}

func (a *agent) reports(t *testing.T) (all []report) {
	t.Helper()
	for line := range strings.Lines(a.Log()) {
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}\n") {
			continue // the client's own log, and what the agent was killed at
		}
		var r report
		require.NoError(t, json.Unmarshal([]byte(line), &r), line)
		all = append(all, r)
	}
	return all
}

// last is what it said last.
func (a *agent) last(t *testing.T) (r report) {
	t.Helper()
	if all := a.reports(t); len(all) > 0 {
		r = all[len(all)-1]
	}
	return r
}

// town is a scene with agents in it.
type town struct {
	*scene
	mu     sync.Mutex // of what follows
	agents []*agent
	kills  map[string]int
}

func newTown(t *testing.T) *town {
	t.Helper()
	return &town{scene: newScene(t), kills: map[string]int{}}
}

// arrive starts one more agent.
func (s *town) arrive(rate int, args ...string) (*agent, error) {
	return s.arriveWith(nil, rate, args...)
}

// arriveWith is arrive with more in its environment.
func (s *town) arriveWith(env []string, rate int, args ...string) (*agent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &agent{number: len(s.agents) + 1}
	var err error
	a.Process, err = s.Launch("agent", append([]string{"FALLBACK_AFTER=1s"}, env...), append([]string{"-agent", strconv.Itoa(a.number), "-rate", strconv.Itoa(rate)}, args...)...)
	if err == nil {
		s.agents = append(s.agents, a)
	}
	return a, err
}

// says waits until the agent has said something.
func (s *town) says(a *agent, what string, is func(report) bool) {
	s.t.Helper()
	require.NoError(s.t, s.Until(s.ctx, what, func(context.Context) (bool, string) {
		r := a.last(s.t)
		return is(r), fmt.Sprintf("%+v", r)
	}))
}

// fault does harm until ctx ends, and leaves every server running.
type fault func(ctx context.Context, s *town, rnd *rand.Rand) error

// kill takes the server away again and again; the first time for the longest.
func kill(server func(*rig.Rig) rig.Server, up, down time.Duration) fault {
	return func(ctx context.Context, s *town, rnd *rand.Rand) error {
		srv := server(s.Rig)
		for away := down; lasts(ctx, within(rnd, up)); away = within(rnd, down) {
			if err := srv.Kill(); err != nil {
				return err
			}
			s.killed(srv.Name())
			pause(ctx, away)
			if err := srv.Start(context.WithoutCancel(ctx)); err != nil {
				return err
			}
		}
		return nil
	}
}

// replace kills an agent and starts another, again and again.
func replace(up time.Duration) fault {
	return func(ctx context.Context, s *town, rnd *rand.Rand) error {
		for lasts(ctx, within(rnd, up)) {
			s.one(rnd).Kill()
			s.killed("agents")
			if _, err := s.arrive(rate); err != nil {
				return err
			}
		}
		return nil
	}
}

// one is an agent that lives, and is to be killed.
func (s *town) one(rnd *rand.Rand) *agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if a := s.agents[rnd.IntN(len(s.agents))]; !a.killed {
			a.killed = true
			return a
		}
	}
}

// lasts waits, and tells whether ctx still lasts.
func lasts(ctx context.Context, d time.Duration) bool {
	pause(ctx, d)
	return ctx.Err() == nil
}

func within(rnd *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(most)))
}

func (s *town) killed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills[name]++
}

const (
	// agents and rate are 5,000 records a second together.
	agents, rate = 4, 1250
	seedVariable = "CLIENT_CHAOS_SEED"
)

var allTopics = []string{load.Logs, load.Metrics, load.Events}

// Four processes store 5,000 records a second while servers, and they themselves, are killed at random. CLIENT_CHAOS_SEED gives
// the moments again.
func TestEveryRecordThatAgentsStoreIsInOneTableOnce(t *testing.T) {
	kafka := kill(func(r *rig.Rig) rig.Server { return r.Kafka }, 6*time.Second, 4*time.Second)
	clickhouse := kill(func(r *rig.Rig) rig.Server { return r.ClickHouse }, 12*time.Second, 8*time.Second)
	for name, faults := range map[string][]fault{
		"while Kafka is killed":                 {kafka},
		"while Kafka and ClickHouse are killed": {kafka, clickhouse},
		"while Kafka and agents are killed":     {kafka, replace(6 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTown(t)
			s.ready()
			for range agents {
				_, err := s.arrive(rate)
				require.NoError(t, err)
			}
			s.storm(faults)
			s.leave()
			s.ingested()
			s.told()
			s.clean(allTopics...)
		})
	}
}

// storm lets the faults happen for a while.
func (s *town) storm(faults []fault) {
	s.t.Helper()
	seed, err := strconv.ParseUint(os.Getenv(seedVariable), 10, 64)
	if err != nil {
		seed = rand.Uint64N(1 << 32) //nolint:gosec // random moments
	}
	s.t.Logf("%s=%d", seedVariable, seed)
	length := 40 * time.Second
	if os.Getenv("INTEGRATION_LONG") != "" {
		length = 3 * time.Minute
	}
	ctx, cancel := context.WithTimeout(s.ctx, length)
	defer cancel()
	var g errgroup.Group
	for i, f := range faults {
		g.Go(func() error { return f(ctx, s, rand.New(rand.NewPCG(seed, uint64(i)))) }) //nolint:gosec // reproducible on purpose
	}
	require.NoError(s.t, g.Wait())
	had := s.byKafka()
	require.NoError(s.t, s.Until(s.ctx, "agents send to Kafka again", func(context.Context) (bool, string) {
		has := s.byKafka()
		return has > had, fmt.Sprintf("%d records, and %d before", has, had)
	}))
}

// byKafka is how many records Kafka has.
func (s *town) byKafka() (has int64) {
	for _, t := range allTopics {
		has += s.offsets(t)
	}
	return has
}

// leave has every agent end, and requires that it left nothing behind.
func (s *town) leave() {
	s.t.Helper()
	var ending sync.WaitGroup
	for _, a := range s.agents {
		ending.Go(a.Stop)
	}
	ending.Wait()
	for _, a := range s.agents {
		if a.killed {
			continue
		}
		r := a.last(s.t)
		require.True(s.t, r.Closed, a.Log())
		require.Empty(s.t, r.Error)
		require.Equal(s.t, r.Accepted, r.Flushed)
		require.Equal(s.t, client.Stats{Sent: r.Sent, Direct: r.Direct, Marked: r.Marked, Away: r.Away}, r.Stats)
		require.Equal(s.t, r.Accepted, r.Sent+r.Direct+r.Marked)
	}
}

// ingested waits until all that Kafka has is in the tables.
func (s *town) ingested() {
	s.t.Helper()
	require.NoError(s.t, s.Until(s.ctx, "wait for what Kafka has", func(context.Context) (bool, string) {
		has := s.byKafka()
		rows := s.count("SELECT count() FROM " + numbered + " WHERE _partition >= 0")
		return rows == has, fmt.Sprintf("%d rows of %d", rows, has)
	}))
	require.NoError(s.t, s.Settled(s.ctx))
	require.Zero(s.t, s.count("SELECT count() FROM dead_letters"))
}

// numbered is all rows, with the numbers of agent and record.
const numbered = `(SELECT event_id, _partition, _offset,
	reinterpretAsUInt32(reverse(unhex(substring(toString(event_id), 1, 8)))) AS agent,
	reinterpretAsUInt64(reverse(unhex(right(toString(event_id), 12)))) AS n
	FROM (SELECT event_id, _partition, _offset FROM logs UNION ALL SELECT event_id, _partition, _offset FROM metrics UNION ALL SELECT event_id, _partition, _offset FROM events))`

// told requires that what agents were told is true: what was flushed is there, what was accepted is there at most once.
func (s *town) told() {
	s.t.Helper()
	s.once()
	var sum report
	doubt, dead := int64(0), 0
	for _, a := range s.agents {
		r := a.last(s.t)
		rows := s.count("SELECT count() FROM "+numbered+" WHERE agent = ?", a.number)
		if a.killed {
			dead++
			require.Equal(s.t, r.Flushed, s.count("SELECT count() FROM "+numbered+" WHERE agent = ? AND n <= ?", a.number, r.Flushed), "agent %d", a.number)
		} else {
			require.Equal(s.t, r.Accepted, rows, "agent %d", a.number)
			require.Equal(s.t, r.Accepted, s.count("SELECT max(n) FROM "+numbered+" WHERE agent = ?", a.number), "agent %d", a.number)
		}
		most, why := int64(0), ""
		for _, r := range a.reports(s.t) {
			most = max(most, r.InDoubt)
			if r.Error != "" {
				why = r.Error
			}
		}
		doubt += most
		if r.Marked > 0 {
			s.t.Logf("agent %d ended in doubt: %s", a.number, why)
		}
		sum.Accepted, sum.Flushed, sum.Again = sum.Accepted+r.Accepted, sum.Flushed+r.Flushed, sum.Again+r.Again
		sum.Sent, sum.Direct, sum.Marked = sum.Sent+r.Sent, sum.Direct+r.Direct, sum.Marked+r.Marked
	}
	sent, direct, marked := s.ways()
	s.t.Logf("killed: %v; %d agents accepted %d records and flushed %d, %d calls were made again; in doubt at most %d at once; %d rows by Kafka, %d straight, %d marked",
		s.kills, len(s.agents), sum.Accepted, sum.Flushed, sum.Again, doubt, sent, direct, marked)
	require.Positive(s.t, sent)
	require.Positive(s.t, direct)
	if dead == 0 {
		require.Equal(s.t, []int64{sum.Sent, sum.Direct, sum.Marked}, []int64{sent, direct, marked})
	}
}

// once requires that no record is stored twice.
func (s *town) once() {
	s.t.Helper()
	require.Empty(s.t, s.strings("SELECT concat('agent ', toString(agent), ' record ', toString(n), ' at ', toString(groupArray((_partition, _offset)))) FROM "+numbered+" GROUP BY agent, n HAVING count() > 1 LIMIT 20"))
}

// ways is how many rows came which way.
func (s *town) ways() (sent, direct, marked int64) {
	s.t.Helper()
	rows := func(where string) int64 { return s.count("SELECT count() FROM " + numbered + " WHERE " + where) }
	return rows("_partition >= 0"), rows("_partition = -1 AND _offset = 0"), rows("_partition = -1 AND _offset = 1")
}
