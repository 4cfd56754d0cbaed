package schema_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/schema"
)

func strs(t *testing.T, conn driver.Conn, sql string, args ...any) []string {
	t.Helper()
	var out []string
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&out))
	return out
}

func TestApplyTwiceIsApplyOnce(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	for range 2 {
		require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	}
	require.Equal(t, []string{"dead_letters", "events", "ingest_exceptions", "ingest_migrations", "logs", "metrics"},
		strs(t, conn, "SELECT arraySort(groupArray(name)) FROM system.tables WHERE database = ?", cfg.Database))
	require.Equal(t, []string{"1 logs", "2 metrics", "3 events", "4 dead_letters", "5 ingest_exceptions"},
		strs(t, conn, "SELECT arraySort(groupArray(concat(toString(version), ' ', name))) FROM ingest_migrations"))
	warnings, err := schema.Check(t.Context(), conn, cfg.Database)
	require.NoError(t, err)
	require.Empty(t, warnings)
}

func TestApplyCreatesTheDatabase(t *testing.T) {
	cfg := clickhousetest.Server(t)
	db := cfg.Database
	cfg.Database = "default"
	conn := clickhousetest.Open(t, cfg)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: db}))
	require.Len(t, strs(t, conn, "SELECT groupArray(name) FROM system.tables WHERE database = ?", db), 6)
}

func TestManyMayApplyAtOnce(t *testing.T) {
	cfg := clickhousetest.Server(t)
	errs := make(chan error)
	for range 8 {
		go func() {
			err := clickhouse.CreateDatabase(t.Context(), cfg)
			if err == nil {
				var conn driver.Conn
				if conn, err = clickhouse.Open(cfg); err == nil {
					err = errors.Join(schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database, TTLDays: 7}), conn.Close())
				}
			}
			errs <- err
		}()
	}
	for range 8 {
		require.NoError(t, <-errs)
	}
	conn := clickhousetest.Open(t, cfg)
	require.Len(t, strs(t, conn, "SELECT groupArray(name) FROM ingest_migrations"), 5)
}

func TestAForeignTableIsReportedAndNothingIsChanged(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, conn.Exec(t.Context(), "CREATE TABLE logs (timestamp DateTime, message String, level String MATERIALIZED 'x') ENGINE = MergeTree ORDER BY timestamp"))
	err := schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database})
	var bad *schema.MismatchError
	require.ErrorAs(t, err, &bad)
	require.Contains(t, bad.Problems[0], "column timestamp of table logs is DateTime and must be DateTime64(6, 'UTC'): ALTER TABLE logs MODIFY COLUMN")
	require.ErrorContains(t, err, "table logs has no column event_id: ALTER TABLE logs ADD COLUMN event_id UUID")
	require.NotContains(t, err.Error(), "column message")
	require.Equal(t, []string{"logs"}, strs(t, conn, "SELECT groupArray(name) FROM system.tables WHERE database = ?", cfg.Database))
	require.Len(t, strs(t, conn, "SELECT groupArray(name) FROM system.columns WHERE database = ? AND table = 'logs'", cfg.Database), 3)
}

func TestAColumnThatTakesNoInsertsIsReported(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	require.NoError(t, conn.Exec(t.Context(), "ALTER TABLE events MODIFY COLUMN extra String MATERIALIZED ''"))
	require.ErrorContains(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}), "column extra of table events is MATERIALIZED")
}

func TestColumnsOfTheOperatorAreFine(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	require.NoError(t, conn.Exec(t.Context(), "ALTER TABLE logs ADD COLUMN tenant String DEFAULT attributes['tenant'], ADD COLUMN day Date ALIAS toDate(timestamp)"))
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
}

func TestADroppedTableIsMadeAgain(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	require.NoError(t, conn.Exec(t.Context(), "DROP TABLE events SYNC"))
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	require.Len(t, strs(t, conn, "SELECT groupArray(name) FROM system.tables WHERE database = ?", cfg.Database), 6)
	require.Len(t, strs(t, conn, "SELECT groupArray(name) FROM ingest_migrations"), 5)
}

func TestTTL(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	apply := func(days int) error {
		return schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database, TTLDays: days})
	}
	ttl := func(days string) []string {
		return strs(t, conn, "SELECT arraySort(groupArray(name)) FROM system.tables WHERE database = ? AND engine_full LIKE concat('%TTL timestamp + toIntervalDay(', ?, ') SETTINGS%')", cfg.Database, days)
	}
	three := []string{"events", "logs", "metrics"}
	require.NoError(t, apply(0))
	require.Empty(t, ttl("%"))
	require.NoError(t, apply(30))
	require.Equal(t, three, ttl("30"))
	require.NoError(t, apply(7))
	require.Equal(t, three, ttl("7"))
	require.NoError(t, apply(0), "keeps what there is")
	require.Equal(t, three, ttl("7"))
	require.NoError(t, conn.Exec(t.Context(), "ALTER TABLE logs MODIFY TTL toDateTime(timestamp) + INTERVAL 7 DAY DELETE WHERE level = 'debug'"))
	require.NoError(t, apply(0))
	require.ErrorContains(t, apply(7), "table logs has an expiry of its own")
}

// A DateTime ends in 2106; rows may be of 2261.
func TestTTLKeepsRowsOfTheFuture(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	require.NoError(t, conn.Exec(t.Context(), "ALTER TABLE logs MODIFY TTL toDateTime(timestamp) + INTERVAL 30 DAY")) // as an earlier version had it
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database, TTLDays: 30}))
	times := []string{"2106-01-20", "2106-02-10", "2150-01-01", "2262-01-01", "2027-03-01", "2001-01-01"}
	for i, at := range times {
		require.NoError(t, conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO logs (timestamp, _offset) VALUES ('%s 00:00:00', %d)", at, i)))
	}
	require.NoError(t, conn.Exec(t.Context(), "OPTIMIZE TABLE logs FINAL"))
	require.Equal(t, times[:5], strs(t, conn, "SELECT arrayMap(x -> x.2, arraySort(groupArray((_offset, toString(toDate32(timestamp)))))) FROM logs"))
}

func TestTablesOfAnAdministratorNeedNoGrant(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	limited := clickhousetest.Restricted(t, cfg, conn)
	theirs := clickhousetest.Open(t, limited)
	err := schema.Apply(t.Context(), theirs, schema.Options{Database: cfg.Database})
	require.Equal(t, "ACCESS_DENIED", clickhouse.Classify(err).Name)
	require.Equal(t, clickhouse.Blocked, clickhouse.Classify(err).Class)

	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	require.NoError(t, conn.Exec(t.Context(), "DROP TABLE ingest_migrations SYNC"), "made by hand")
	require.NoError(t, clickhouse.CreateDatabase(t.Context(), limited))
	require.NoError(t, schema.Apply(t.Context(), theirs, schema.Options{Database: cfg.Database}))
	warnings, err := schema.Check(t.Context(), theirs, cfg.Database)
	require.NoError(t, err)
	require.Empty(t, warnings)
}

func TestCheckNamesWhatBreaksThePromise(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	db := cfg.Database
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: db}))
	const good = " ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100000"
	for _, sql := range []string{
		"CREATE TABLE fine (n Int64)" + good, "CREATE MATERIALIZED VIEW v_fine TO fine AS SELECT _offset AS n FROM logs",
		"CREATE TABLE void (n Int64) ENGINE = Null", "CREATE MATERIALIZED VIEW v_void TO void AS SELECT _offset AS n FROM logs",
		"CREATE MATERIALIZED VIEW v_later REFRESH EVERY 1 YEAR TO fine AS SELECT _offset AS n FROM logs",
		"CREATE TABLE `o``dd.` (n Int64) ENGINE = MergeTree ORDER BY n", "CREATE MATERIALIZED VIEW v_bare TO `o``dd.` AS SELECT _offset AS n FROM logs",
		"CREATE MATERIALIZED VIEW v_inner ENGINE = SummingMergeTree ORDER BY n AS SELECT _offset AS n FROM events",
		"CREATE TABLE deep (n Int64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 10",
		"CREATE MATERIALIZED VIEW v_deep TO deep AS SELECT n FROM fine",
		"CREATE TABLE mem (n Int64) ENGINE = Memory", "CREATE MATERIALIZED VIEW v_mem TO mem AS SELECT n FROM void",
		"CREATE TABLE elsewhere (n Int64) ENGINE = MergeTree ORDER BY n", "CREATE MATERIALIZED VIEW v_else TO elsewhere AS SELECT n FROM deep WHERE 0 UNION ALL SELECT 1",
		"CREATE VIEW plain AS SELECT * FROM logs",
		"ALTER TABLE metrics RESET SETTING non_replicated_deduplication_window",
		"ALTER TABLE dead_letters MODIFY SETTING non_replicated_deduplication_window = 100",
		"ALTER TABLE metrics DROP PROJECTION by_word",
	} {
		require.NoError(t, conn.Exec(t.Context(), sql), sql)
	}
	warnings, err := schema.Check(t.Context(), conn, db)
	require.NoError(t, err)
	var inner string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT name FROM system.tables WHERE database = ? AND name LIKE '.inner%'", db).Scan(&inner))
	want := []string{
		"table dead_letters remembers the last 100 inserts only",
		"table metrics remembers the last 0 inserts only",
		"view DB.v_bare of DB.logs writes to DB.o`dd., which has no dedup window",
		"view DB.v_inner of DB.events writes to DB." + inner + ", which has no dedup window",
		"view DB.v_deep of DB.fine writes to DB.deep, which remembers the last 10 inserts only",
		"view DB.v_mem of DB.void writes to DB.mem, whose engine Memory cannot tell a resend",
		"view DB.v_else of DB.deep writes to DB.elsewhere, which has no dedup window",
		"table metrics has no projection by_word",
	}
	for _, w := range want {
		w = strings.ReplaceAll(w, "DB", db)
		require.True(t, slices.ContainsFunc(warnings, func(x schema.Warning) bool { return strings.Contains(string(x), w) }), "%q is not in %q", w, warnings)
	}
	require.Len(t, warnings, len(want), "%q", warnings)
	for _, w := range warnings {
		require.NotContains(t, string(w), "\n")
	}
}

func TestCheckCountsPartsFromBeforeAProjection(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	exec := func(sql string) { t.Helper(); require.NoError(t, conn.Exec(t.Context(), sql)) }
	exec("ALTER TABLE logs DROP PROJECTION by_bucket SETTINGS mutations_sync = 1")
	exec("INSERT INTO logs (_offset) VALUES (1)")
	exec("ALTER TABLE logs ADD PROJECTION by_bucket (SELECT _topic_id, _partition, intDiv(_offset, 1024), count(), min(_offset), max(_offset) GROUP BY _topic_id, _partition, intDiv(_offset, 1024))")
	exec("INSERT INTO logs (_offset, timestamp) VALUES (2, now())")
	warnings, err := schema.Check(t.Context(), conn, cfg.Database)
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, string(warnings[0]), "table logs has 1 parts of 2 from before its projection by_bucket")
	exec("ALTER TABLE logs MATERIALIZE PROJECTION by_bucket SETTINGS mutations_sync = 1")
	warnings, err = schema.Check(t.Context(), conn, cfg.Database)
	require.NoError(t, err)
	require.Empty(t, warnings)
}

func TestCheckIsNotMisledByPartsThatComeAndGoMeanwhile(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	var over atomic.Bool
	var load sync.WaitGroup
	for range 3 {
		load.Go(func() {
			for !over.Load() { // each makes three parts, and merges are on their heels
				if err := conn.Exec(t.Context(), "INSERT INTO logs (_offset, timestamp) SELECT rand(), now() - INTERVAL 31 * (number % 3) DAY FROM numbers(3)"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer load.Wait()
	defer over.Store(true)
	for range 10 {
		warnings, err := schema.Check(t.Context(), conn, cfg.Database)
		require.NoError(t, err)
		require.Empty(t, warnings)
	}
}
