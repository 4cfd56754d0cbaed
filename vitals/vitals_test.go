package vitals

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/schema"
)

// observed is vital signs of a database with our tables, and what was said.
type observed struct {
	*Vitals
	t    *testing.T
	conn driver.Conn
	reg  *prometheus.Registry
	out  *bytes.Buffer
}

func observe(t *testing.T, life time.Duration) *observed {
	t.Helper()
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	return over(t, cfg, conn, life)
}

func over(t *testing.T, cfg clickhouse.Config, conn driver.Conn, life time.Duration) *observed {
	t.Helper()
	o := &observed{t: t, conn: conn, reg: prometheus.NewPedanticRegistry(), out: &bytes.Buffer{}}
	o.Vitals = lasting(cfg, o.reg, slog.New(slog.NewTextHandler(o.out, nil)), life)
	return o
}

func (o *observed) exec(sql string) {
	o.t.Helper()
	require.NoError(o.t, o.conn.Exec(o.t.Context(), sql))
}

// value is that of a series of ingest_clickhouse_<name>, by its label values in the order of the labels' names; -1: there is none.
func (o *observed) value(name string, labels ...string) float64 {
	o.t.Helper()
	families, err := o.reg.Gather()
	require.NoError(o.t, err)
	for _, f := range families {
		if f.GetName() != "ingest_clickhouse_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetValue())
			}
			if strings.Join(has, ",") == strings.Join(labels, ",") {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// whole is value of what is counted.
func (o *observed) whole(name string, labels ...string) int {
	o.t.Helper()
	return int(o.value(name, labels...))
}

func TestWhatAServerHasIsShown(t *testing.T) {
	o := observe(t, life)
	require.Zero(t, o.value("up"), "before the first reading")
	o.exec("SYSTEM STOP MERGES logs")
	for n := range 3 {
		o.exec(fmt.Sprintf("INSERT INTO logs (timestamp, level, message) VALUES (now(), 'INFO', '%d'), (now(), 'INFO', 'b')", n))
	}
	o.exec("INSERT INTO logs (timestamp, level, message) VALUES ('2020-01-01 00:00:00', 'INFO', 'another partition')")
	o.exec("SYSTEM FLUSH LOGS")
	o.round(t.Context(), o.conn)

	require.Empty(t, o.out.String())
	require.Equal(t, 1, o.whole("up"))
	require.Positive(t, o.value("reading_seconds"))
	require.Less(t, o.value("reading_seconds"), 5.0)
	require.Equal(t, 7, o.whole("table_rows", "logs"))
	require.Equal(t, 4, o.whole("table_parts", "logs"))
	require.Equal(t, 3, o.whole("max_parts_in_partition", "logs"))
	require.Positive(t, o.value("table_bytes", "logs"))
	for _, table := range []string{"metrics", "events", "dead_letters", "ingest_exceptions"} {
		for _, name := range []string{"table_rows", "table_bytes", "table_parts", "max_parts_in_partition", "merges", "mutations"} {
			require.Zero(t, o.value(name, table), name)
		}
	}
	require.Greater(t, o.value("parts_limit"), 100.0)
	require.Positive(t, o.value("disk_free_bytes", "default"))
	require.GreaterOrEqual(t, o.value("disk_total_bytes", "default"), o.value("disk_free_bytes", "default"))
	require.Equal(t, -1, o.whole("replication_queue", "logs"), "no table is replicated")

	require.Positive(t, o.value("queries", "insert"))
	require.Positive(t, o.value("query_seconds", "insert", "0.5"))
	require.LessOrEqual(t, o.value("query_seconds", "insert", "0.5"), o.value("query_seconds", "insert", "0.99"))
	require.Zero(t, o.value("query_failures", "insert"))
	problems, err := testutil.GatherAndLint(o.reg)
	require.NoError(t, err)
	for _, p := range problems { // quantiles that the server has worked out are no summary
		require.Equal(t, "ingest_clickhouse_query_seconds", p.Metric, p.Text)
	}
}

func TestFailedQueriesAndUnfinishedMutationsAreShownAndGoAway(t *testing.T) {
	o := observe(t, life)
	o.exec("INSERT INTO logs (timestamp, level, message) VALUES (now(), 'INFO', 'a')")
	require.Error(t, o.conn.Exec(t.Context(), "SELECT throwIf(1) FROM logs"))
	o.exec("SYSTEM STOP MERGES logs")
	o.exec("ALTER TABLE logs UPDATE extra = 'x' WHERE 1 SETTINGS mutations_sync = 0")
	o.exec("SYSTEM FLUSH LOGS")
	o.round(t.Context(), o.conn)
	require.Positive(t, o.value("query_failures", "select"))
	require.Equal(t, 1, o.whole("mutations", "logs"))

	o.exec("SYSTEM START MERGES logs")
	require.Eventually(t, func() bool { o.round(t.Context(), o.conn); return o.value("mutations", "logs") == 0 }, 20*time.Second, 50*time.Millisecond)
	o.exec("DROP TABLE metrics SYNC")
	o.round(t.Context(), o.conn)
	require.Equal(t, -1, o.whole("table_rows", "metrics"), "a table that is gone is shown no more")
}

func TestAReadingLeavesNothingInTheQueryLog(t *testing.T) {
	o := observe(t, life)
	for range 3 {
		o.round(t.Context(), o.conn)
	}
	o.exec("SYSTEM FLUSH LOGS")
	var n uint64
	require.NoError(t, o.conn.QueryRow(t.Context(), "SELECT count() FROM system.query_log WHERE current_database = currentDatabase() AND query LIKE '%system.disks%' AND query NOT LIKE '%query_log%'").Scan(&n))
	require.Zero(t, n)
}

func TestAServerThatIsAwayIsDownAtOnceAndWhatItSaidIsSoonShownNoMore(t *testing.T) {
	const life = time.Second
	o := observe(t, life)
	o.round(t.Context(), o.conn)
	require.Equal(t, 1, o.whole("up"))
	away := o.cfg
	away.Hosts, away.Port = []string{"127.0.0.1"}, 1
	conn, err := clickhouse.Open(away)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	o.round(t.Context(), conn)
	require.Zero(t, o.value("up"))
	require.Eventually(t, func() bool { return o.whole("table_rows", "logs") == -1 && o.whole("disk_free_bytes", "default") == -1 }, 10*life, 10*time.Millisecond)
	require.Empty(t, o.out.String(), "those who need it say so")
	o.round(t.Context(), o.conn)
	require.Equal(t, 1, o.whole("up"))
	require.Zero(t, o.value("table_rows", "logs"))
}

const gone = "_that_is_not_there"

// hidden has a reading ask for a table that is not there.
func (o *observed) hidden(table string) {
	for n := range o.readings {
		o.readings[n].sql = strings.ReplaceAll(o.readings[n].sql, table, table+gone)
	}
}

func TestWhatCannotBeReadIsSaidOnceAndLeftOut(t *testing.T) {
	o := observe(t, life)
	o.hidden("system.query_log")
	o.hidden("system.disks")
	o.round(t.Context(), o.conn)
	require.Empty(t, o.out.String(), "a new server makes some of its tables late")
	for range 3 {
		o.again()
		o.round(t.Context(), o.conn)
	}
	require.Equal(t, 1, o.whole("up"), "all that can be read was")
	require.Zero(t, o.value("table_rows", "logs"))
	require.Equal(t, -1, o.whole("disk_free_bytes", "default"))
	require.Equal(t, -1, o.whole("queries", "insert"))
	require.Equal(t, 2, strings.Count(o.out.String(), "\n"), o.out.String())
	require.Contains(t, o.out.String(), `reading="query log"`)

	for n := range o.readings {
		o.readings[n].sql = strings.ReplaceAll(o.readings[n].sql, gone, "")
	}
	o.round(t.Context(), o.conn)
	require.Equal(t, -1, o.whole("disk_free_bytes", "default"), "it is not asked for each time")
	o.again()
	o.round(t.Context(), o.conn)
	require.Positive(t, o.value("disk_free_bytes", "default"), "but it is again")
	require.Equal(t, 2, strings.Count(o.out.String(), "\n"), o.out.String())
}

func TestAReadingThatTakesTooLongIsNotShownInPart(t *testing.T) {
	o := observe(t, life)
	for n, r := range o.readings {
		if r.of == "disks" {
			o.readings[n].sql = "SELECT toString(number), toFloat64(sleepEachRow(1)), toFloat64(1) FROM numbers(30) SETTINGS max_block_size = 1"
		}
	}
	o.round(t.Context(), o.conn)
	require.Zero(t, o.value("up"))
	require.Equal(t, -1, o.whole("disk_free_bytes", "0"))
	require.Zero(t, o.value("table_rows", "logs"), "the others are")
}

// again lets the time come at which what was left out is tried again.
func (o *observed) again() {
	for of, r := range o.refused {
		r.until = time.Now()
		o.refused[of] = r
	}
}

func TestAReadingEndsWithItsContext(t *testing.T) {
	o := observe(t, life)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- o.Run(ctx) }()
	require.Eventually(t, func() bool { return o.value("up") == 1 }, 20*time.Second, 10*time.Millisecond)
	cancel()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on")
	}
}

// ClickHouse takes any bytes for a name, and Prometheus' client none that are not UTF-8 for a label.
func TestATableWhoseNameIsNotUTF8HidesNoMetric(t *testing.T) {
	o := observe(t, life)
	o.exec("CREATE TABLE `a\xff` (n Int8) ENGINE = MergeTree ORDER BY n")
	o.round(t.Context(), o.conn)
	require.Zero(t, o.value("table_rows", "a\uFFFD"))
}
