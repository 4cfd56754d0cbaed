package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// A worker that takes over replays what was decided before, and counts only what is decided from then on.
func TestAWorkerShowsWhatItDidAndADecisionOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.worker.Stop()
	s.showing()
	s.send(20_000)
	s.exact()
	books, err := s.Count(s.ctx)
	require.NoError(t, err)
	p := s.shows(s.worker, "wait for a reading of ClickHouse", func(p rig.Metrics) bool {
		return p.Sum("ingest_clickhouse_table_rows", `table="logs"`)*p.Sum("ingest_clickhouse_up") > 0
	})
	require.InDelta(t, books.Stored, p.Sum("ingest_stored_rows_total"), 0)
	require.InDelta(t, books.Dead, p.Sum("ingest_dead_letters_total"), 0)
	require.GreaterOrEqual(t, p.Sum("ingest_read_records_total"), float64(books.Stored+books.Dead))
	require.Greater(t, p.Sum("ingest_read_bytes_total"), 100*p.Sum("ingest_read_records_total"))
	require.Positive(t, p.Sum("ingest_inserts_total", `result="ok"`))
	require.Zero(t, p.Sum("ingest_inserts_total", `result="rejected"`))
	require.Positive(t, p.Sum("ingest_freshness_seconds_count", `topic="`+load.Logs+`"`))
	require.Less(t, p.Sum("ingest_freshness_seconds_sum"), 60*p.Sum("ingest_freshness_seconds_count"))
	require.Positive(t, p.Sum("ingest_activity_attempts_total", `activity="Look"`, `result="ok"`), "local ones too")
	require.InDelta(t, 1, p.Sum("ingest_clickhouse_up"), 0)
	require.Positive(t, p.Sum("ingest_clickhouse_disk_free_bytes"))
	require.Positive(t, p.Sum("temporal_workflow_completed_total", `workflow_type="Ingest"`))
	require.Positive(t, p.Sum("temporal_activity_execution_latency_seconds_count", `activity_type="Insert"`))

	s.exec("ALTER TABLE logs MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000")
	s.send(200)
	b, err := s.AwaitState(s.ctx, "blocked", "NOT_ENOUGH_SPACE")
	require.NoError(t, err)
	s.starter("resolve", b.ID, "retry")
	p = s.shows(s.worker, "wait for a decision", func(p rig.Metrics) bool { return p.Sum("ingest_decisions_total") > 0 })
	require.InDelta(t, 1, p.Sum("ingest_decisions_total", `decision="retry"`, `topic="`+load.Logs+`"`), 0)
	require.InDelta(t, 1, p.Sum("ingest_decisions_total"), 0)
	require.Positive(t, p.Sum("ingest_inserts_total", `result="blocked"`))
	require.Positive(t, p.Sum("ingest_activity_attempts_total", `activity="Insert"`, `result="failed"`))

	s.worker.Kill()
	require.NoError(t, s.worker.Restart())
	s.starter("resolve", b.ID, "retry")
	p = s.shows(s.worker, "wait for a decision", func(p rig.Metrics) bool { return p.Sum("ingest_decisions_total") > 0 })
	require.InDelta(t, 1, p.Sum("ingest_decisions_total"), 0, "the one before is replayed")
	s.exec("ALTER TABLE logs RESET SETTING min_free_disk_bytes_to_perform_insert")
	s.starter("resolve", "--state", "blocked", "retry")
	s.exact()
}

// vitalRights are what docs/operations.md says that the vital signs need, beside what the worker needs anyway.
var vitalRights = []string{"disks", "merges", "mutations", "replicas", "query_log"}

// guardedBy has a ClickHouse whose user w may read system tables only where it is granted.
func guardedBy(t *testing.T, system ...string) *scene {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	dir := t.TempDir()
	var grants strings.Builder
	for _, g := range []string{"SELECT, INSERT, CREATE TABLE ON default.*", "TABLE ENGINE ON *", "CREATE ARBITRARY TEMPORARY TABLE ON *.*"} {
		grants.WriteString("<query>GRANT " + g + "</query>")
	}
	for _, table := range append([]string{"processes", "parts", "projections", "projection_parts", "merge_tree_settings", "replicated_merge_tree_settings"}, system...) {
		grants.WriteString("<query>GRANT SELECT ON system." + table + "</query>")
	}
	for file, xml := range map[string]string{
		"users.d/w.xml": `<clickhouse><users><w><password>` + secret + `</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota><grants>` + grants.String() + `</grants></w></users></clickhouse>`,
		"config.d/access.xml": `<clickhouse><access_control_improvements><select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
			<table_engines_require_grant>true</table_engines_require_grant></access_control_improvements></clickhouse>`,
	} {
		path := filepath.Join(dir, "clickhouse", file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(xml), 0o600))
	}
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, Env: []string{"BATCH_LINGER=300ms", "CLICKHOUSE_USER=w", "CLICKHOUSE_PASSWORD=" + secret}})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	s := &scene{Rig: r, t: t, ctx: ctx, gen: load.New(1, mix)}
	s.exec("SELECT 1", "SYSTEM FLUSH LOGS") // else there is no query_log yet
	return s
}

// showing starts a worker that serves metrics.
func (s *scene) showing() {
	s.t.Helper()
	var err error
	s.worker, err = s.Worker(rig.MetricsAnywhere)
	require.NoError(s.t, err)
}

func TestVitalSignsThatTheUserMayNotReadAreSaidOnceAndLeftOut(t *testing.T) {
	t.Parallel()
	s := guardedBy(t)
	s.showing()
	var err error
	s.consumer, err = s.Consumer()
	require.NoError(t, err)
	s.send(500)
	s.exact()
	p := s.shows(s.worker, "wait for a reading of ClickHouse", func(p rig.Metrics) bool {
		return p.Sum("ingest_clickhouse_table_rows", `table="logs"`)*p.Sum("ingest_clickhouse_up") > 0
	})
	require.InDelta(t, 1, p.Sum("ingest_clickhouse_up"), 0)
	require.Zero(t, p.Sum("ingest_clickhouse_disk_free_bytes"))
	require.NoError(t, s.AwaitLog(s.ctx, s.worker, "ON system.query_log"))
	for _, table := range vitalRights {
		require.Equal(t, 1, strings.Count(s.worker.Log(), "ON system."+table), s.worker.Log())
	}
	require.Equal(t, len(vitalRights), strings.Count(s.worker.Log(), "a reading of clickhouse is left out"), s.worker.Log())
}

func TestTheRightsForVitalSignsThatAreDocumentedAreEnough(t *testing.T) {
	t.Parallel()
	s := guardedBy(t, vitalRights...)
	s.showing()
	p := s.shows(s.worker, "wait for a reading of ClickHouse", func(p rig.Metrics) bool { return p.Sum("ingest_clickhouse_queries")*p.Sum("ingest_clickhouse_up") > 0 })
	require.Positive(t, p.Sum("ingest_clickhouse_disk_free_bytes"))
	require.NotContains(t, s.worker.Log(), "left out")
}
