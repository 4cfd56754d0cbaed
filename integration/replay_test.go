package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// replayed is what starter replay --json prints.
type replayed struct {
	Offsets, Present, Stored, Lost, Skipped, Holes int64
	DeadLettered                                   int64 `json:"dead_lettered"`
	Batches                                        int64
}

// replay runs starter replay to its end.
func (s *scene) replay(args ...string) replayed {
	s.t.Helper()
	return s.replayEnd(s.replayStart(args...))
}

func (s *scene) replayStart(args ...string) *rig.Process {
	s.t.Helper()
	p, err := s.Starter(append([]string{"replay", "--json"}, args...)...)
	require.NoError(s.t, err)
	return p
}

func (s *scene) replayEnd(p *rig.Process) (r replayed) {
	s.t.Helper()
	code, err := p.Wait(s.ctx)
	require.NoError(s.t, err, p.Log())
	require.Equal(s.t, 0, code, p.Log())
	_, object, ok := strings.Cut(p.Log(), "{")
	require.True(s.t, ok, p.Log())
	require.NoError(s.t, json.Unmarshal([]byte("{"+object), &r), p.Log())
	require.Equal(s.t, r.Offsets, r.Present+r.Stored+r.DeadLettered+r.Lost+r.Skipped+r.Holes)
	return r
}

// erase deletes rows of the logs by hand, and answers how many.
func (s *scene) erase(where string) int64 {
	s.t.Helper()
	before := s.rows()
	require.NoError(s.t, s.DB.Exec(s.ctx, "DELETE FROM logs WHERE "+where))
	erased := before - s.rows()
	require.Positive(s.t, erased)
	return erased
}

func (s *scene) rows() int64 {
	s.t.Helper()
	var n uint64
	require.NoError(s.t, s.DB.QueryRow(s.ctx, "SELECT count() FROM logs").Scan(&n))
	return int64(n)
}

// inserted is how many rows came since then.
func (s *scene) inserted(since time.Time, where string) int64 {
	s.t.Helper()
	var n uint64
	require.NoError(s.t, s.DB.QueryRow(s.ctx, "SELECT count() FROM logs WHERE _inserted_at >= fromUnixTimestamp64Milli(?) AND "+where, since.UnixMilli()).Scan(&n))
	return int64(n)
}

func TestReplayBringsBackExactlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(20_000)
	s.exact()
	require.NoError(t, s.Marked(s.ctx, load.Logs)) // what is above the low watermark is not asked for
	all := s.replay("--topic", load.Logs, "--all")
	require.Zero(t, all.Stored+all.DeadLettered+all.Lost)
	require.Equal(t, all.Offsets, all.Present)
	s.exact()

	const slice = "(_partition = 1 AND _offset BETWEEN 500 AND 1499 OR _partition = 2 AND _offset % 7 = 0)"
	erased := s.erase(slice)
	began := time.Now()
	back := s.replay("--topic", load.Logs, "--all", "--after-erase")
	require.GreaterOrEqual(t, time.Since(began), 75*time.Second, "the quiet time")
	require.Equal(t, erased, back.Stored)
	require.Equal(t, erased, s.inserted(began, slice))
	require.Equal(t, erased, s.inserted(began, "1"), "and nothing else")
	s.exact()
}

func TestReplaySurvivesTheDeathOfConsumerAndWorker(t *testing.T) {
	t.Parallel()
	s := newScene(t, "BATCH_RECORDS=300") // so that the replay is many batches
	s.send(30_000)
	s.exact()
	require.NoError(t, s.Marked(s.ctx, load.Logs)) // what is above the low watermark is not asked for
	// Nothing is in flight: every batch has ended a while ago, so the quiet time may be left out here.
	erased := s.erase("_offset % 2 = 0")
	began := time.Now()
	p := s.replayStart("--topic", load.Logs, "--all")
	back := func(part int64) {
		require.NoError(t, s.Until(s.ctx, "wait for the replay", func(context.Context) (bool, string) {
			n := s.inserted(began, "1")
			return n > erased*part/8, fmt.Sprint(n, " of ", erased)
		}))
		t.Logf("%d of %d are back", s.inserted(began, "_offset % 2 = 0"), erased)
		require.True(t, p.Alive(), "it is under way")
	}
	for part := range int64(4) {
		back(part)
		victim := s.consumer
		if part%2 == 1 {
			victim = s.worker
		}
		victim.Kill()
		require.NoError(t, victim.Restart())
		s.send(500) // beside new records
	}
	r := s.replayEnd(p)
	require.Zero(t, r.Lost+r.DeadLettered+r.Skipped+r.Holes)
	require.Equal(t, erased, r.Stored, "whoever plans next tells of what a planner appended and died: %+v, and %d rows came", r, s.inserted(began, "1"))
	require.Equal(t, erased, s.inserted(began, "_offset % 2 = 0 AND _kafka_timestamp < fromUnixTimestamp64Milli("+fmt.Sprint(began.UnixMilli())+")"))
	s.exact()
}
