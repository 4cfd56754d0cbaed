package integration

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/load"
)

// shows is what a program shows: the value of each series.
type shows map[string]float64

func scrape(ctx context.Context, addr string) (shows, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	p := shows{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if at := strings.LastIndexByte(lines.Text(), ' '); at > 0 && lines.Text()[0] != '#' {
			if v, err := strconv.ParseFloat(lines.Text()[at+1:], 64); err == nil {
				p[lines.Text()[:at]] = v
			}
		}
	}
	return p, lines.Err()
}

// sum is that of all series of a name whose labels have the text.
func (p shows) sum(name, labels string) (sum float64) {
	for k, v := range p {
		if n, rest, _ := strings.Cut(k, "{"); n == name && strings.Contains(rest, labels) {
			sum += v
		}
	}
	return sum
}

// shown waits until the program shows what it should.
func (s *scene) shown(addr, what string, is func(shows) bool) shows {
	s.t.Helper()
	var p shows
	require.NoError(s.t, s.Until(s.ctx, what, func(ctx context.Context) (bool, string) {
		var err error
		p, err = scrape(ctx, addr)
		return err == nil && is(p), ""
	}))
	return p
}

// A worker that takes over replays what was decided before, and counts only what is decided from then on.
func TestAWorkerShowsWhatItDidAndADecisionOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.worker.Stop()
	port, release, err := stack.ReservePort()
	require.NoError(t, err)
	t.Cleanup(release)
	addr := "127.0.0.1:" + strconv.Itoa(port)
	s.worker, err = s.Worker("METRICS_ADDR=" + addr)
	require.NoError(t, err)
	s.send(20_000)
	s.exact()
	books, err := s.Count(s.ctx)
	require.NoError(t, err)
	p := s.shown(addr, "wait for a reading of ClickHouse", func(p shows) bool { return p.sum("ingest_clickhouse_table_rows", `"logs"`) > 0 })
	require.EqualValues(t, books.Stored, p.sum("ingest_stored_rows_total", ""))
	require.EqualValues(t, books.Dead, p.sum("ingest_dead_letters_total", ""))
	require.GreaterOrEqual(t, p.sum("ingest_read_records_total", ""), float64(books.Stored+books.Dead))
	require.Greater(t, p.sum("ingest_read_bytes_total", ""), 100*p.sum("ingest_read_records_total", ""))
	require.Positive(t, p.sum("ingest_inserts_total", `result="ok"`))
	require.Zero(t, p.sum("ingest_inserts_total", `result="rejected"`))
	require.Positive(t, p.sum("ingest_freshness_seconds_count", load.Logs))
	require.Less(t, p.sum("ingest_freshness_seconds_sum", ""), 60*p.sum("ingest_freshness_seconds_count", ""))
	require.Positive(t, p.sum("ingest_activity_attempts_total", `activity="Look",result="ok"`), "local ones too")
	require.Equal(t, 1.0, p.sum("ingest_clickhouse_up", ""))
	require.Positive(t, p.sum("ingest_clickhouse_disk_free_bytes", ""))
	require.Positive(t, p.sum("temporal_workflow_completed_total", "Ingest"))
	require.Positive(t, p.sum("temporal_activity_execution_latency_seconds_count", "Insert"))

	s.exec("RENAME TABLE logs TO away")
	s.send(200)
	b, err := s.AwaitState(s.ctx, "blocked", "UNKNOWN_TABLE")
	require.NoError(t, err)
	s.starter("resolve", b.ID, "retry")
	p = s.shown(addr, "wait for a decision", func(p shows) bool { return p.sum("ingest_decisions_total", "") > 0 })
	require.Equal(t, 1.0, p.sum("ingest_decisions_total", `decision="retry",topic="`+load.Logs+`"`))
	require.Equal(t, 1.0, p.sum("ingest_decisions_total", ""))
	require.Positive(t, p.sum("ingest_inserts_total", `result="blocked"`)+p.sum("ingest_activity_attempts_total", `activity="Look",result="failed"`))

	s.worker.Kill()
	require.NoError(t, s.worker.Restart())
	s.starter("resolve", b.ID, "retry")
	p = s.shown(addr, "wait for a decision", func(p shows) bool { return p.sum("ingest_decisions_total", "") > 0 })
	require.Equal(t, 1.0, p.sum("ingest_decisions_total", ""), "the one before is replayed")
	s.exec("RENAME TABLE away TO logs")
	s.starter("resolve", "--state", "blocked", "retry")
	s.exact()
}
