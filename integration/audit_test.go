package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// found is what starter audit --json prints of a kind of finding.
type found struct {
	Offsets int64
	Ranges  []struct{ P, F, L int64 }
}

// at are the offsets, as partition:offset.
func (f found) at() (out []string) {
	for _, r := range f.Ranges {
		for o := r.F; o <= r.L; o++ {
			out = append(out, fmt.Sprintf("%d:%d", r.P, o))
		}
	}
	return out
}

type audited struct {
	Verdict                                     string
	Offsets, Stored, Dead, Holes, Lost, Skipped int64
	Replays                                     []string
	Gaps, Doubled, Both                         found
	DeadDoubled                                 found `json:"dead_doubled"`
	Moved, Expired, Deleted, Opened, Truncated  int64
	Direct                                      struct{ Rows, Doubt, Removed, Twice int64 }
	Untold                                      []struct{ Why string }
}

// audit runs starter audit to its end, which has to be with that code.
func (s *scene) audit(code int, args ...string) audited {
	s.t.Helper()
	p, err := s.Starter(append([]string{"audit", "--json", "--topic", load.Logs}, args...)...)
	require.NoError(s.t, err)
	return s.auditEnd(p, code)
}

func (s *scene) auditEnd(p *rig.Process, want int) (a audited) {
	s.t.Helper()
	code, err := p.Wait(s.ctx)
	require.NoError(s.t, err, p.Log())
	require.Equal(s.t, want, code, p.Log())
	_, object, ok := strings.Cut(p.Log(), "{")
	require.True(s.t, ok, p.Log())
	require.NoError(s.t, json.NewDecoder(strings.NewReader("{"+object)).Decode(&a), p.Log())
	return a
}

// places are the answer of a query for partition:offset.
func (s *scene) places(from string) (out []string) {
	s.t.Helper()
	rows, err := s.DB.Query(s.ctx, "SELECT concat(toString(_partition), ':', toString(_offset)) FROM "+from)
	require.NoError(s.t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var at string
		require.NoError(s.t, rows.Scan(&at))
		out = append(out, at)
	}
	require.NoError(s.t, rows.Err())
	return out
}

func TestAnAuditFindsPlantedFaultsAndItsRepairMendsTheGaps(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(20_000)
	s.exact()
	require.NoError(t, s.Marked(s.ctx, load.Logs))
	all := s.audit(0)
	require.Equal(t, "clean", all.Verdict)
	require.Equal(t, s.rows(), all.Stored)
	require.Positive(t, all.Dead)
	require.Equal(t, all.Offsets, all.Stored+all.Dead)

	const letter = "dead_letters WHERE _topic = '" + load.Logs + "' ORDER BY _partition, _offset LIMIT 1"
	gaps := append(s.places("logs WHERE _partition = 1 AND _offset >= 500 ORDER BY _offset LIMIT 37"), s.places(letter)...)
	twice := s.places("logs WHERE _partition = 2 AND _offset % 1000 = 64 OR _partition = 3 AND _offset = 7")
	require.Len(t, gaps, 38)
	require.NotEmpty(t, twice)
	of := func(places []string) string {
		return "concat(toString(_partition), ':', toString(_offset)) IN ('" + strings.Join(places, "','") + "')"
	}
	s.exec("INSERT INTO logs SELECT * FROM logs WHERE " + of(twice))
	s.exec("DELETE FROM logs WHERE " + of(gaps[:37]))
	s.exec("DELETE FROM dead_letters WHERE _topic = '" + load.Logs + "' AND " + of(gaps[37:]))

	p, err := s.Starter("audit", "--json", "--topic", load.Logs)
	require.NoError(t, err)
	require.NoError(t, s.AwaitLog(s.ctx, p, "audit "))
	s.worker.Kill() // between the first look and the second, most likely
	require.NoError(t, s.worker.Restart())
	a := s.auditEnd(p, 1)
	require.Equal(t, "not clean", a.Verdict)
	require.ElementsMatch(t, gaps, a.Gaps.at())
	require.ElementsMatch(t, twice, a.Doubled.at())
	require.Zero(t, a.Both.Offsets+a.DeadDoubled.Offsets+a.Holes+a.Moved)

	s.exec("DELETE FROM logs WHERE " + of(twice)) // all of each: the repair brings one back
	a = s.audit(0, "--repair")
	require.Equal(t, "clean", a.Verdict)
	require.Len(t, a.Replays, 1)
	require.Equal(t, all.Offsets, a.Offsets)
	require.Equal(t, all.Stored, a.Stored)
	require.Equal(t, all.Dead, a.Dead)
	s.exact()
}
