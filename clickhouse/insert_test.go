package clickhouse_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
)

var topic = batch.TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func failureOf(t *testing.T, err error) *clickhouse.Failure {
	t.Helper()
	var f *clickhouse.Failure
	require.ErrorAs(t, err, &f)
	return f
}

func TestRowsOfATokenAreTakenOnce(t *testing.T) {
	b := setup(t)
	b.exec(t, "CREATE TABLE seen (_offset Int64) ENGINE = MergeTree ORDER BY _offset SETTINGS non_replicated_deduplication_window = 100000")
	b.exec(t, "CREATE MATERIALIZED VIEW fill TO seen AS SELECT _offset % 7 AS _offset FROM logs")
	rows := rowsOf(topic, span(0, 0, 999), 3) // three partitions of the table
	for range 3 {
		require.NoError(t, b.inserter.Insert(t.Context(), "logs", rows, "a/1"))
	}
	require.Equal(t, 1000, b.count(t, "SELECT count() FROM logs"))
	require.Equal(t, 1000, b.count(t, "SELECT count() FROM seen"))
	require.NoError(t, b.inserter.Insert(t.Context(), "logs", rows, "a/2"))
	require.Equal(t, 2000, b.count(t, "SELECT count() FROM logs"), "another token is another insert, of the same rows too")
	require.Equal(t, 2000, b.count(t, "SELECT count() FROM seen"))
}

func TestOneOfManyInsertsAtOnceUnderATokenIsTaken(t *testing.T) {
	b := setup(t)
	errs := make(chan error)
	for range 8 {
		go func() { errs <- b.inserter.Insert(t.Context(), "logs", rowsOf(topic, span(0, 0, 49_999), 1), "same") }()
	}
	taken := 0
	for range 8 {
		if err := <-errs; err == nil {
			taken++
		} else {
			require.Equal(t, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", failureOf(t, err).Name)
		}
	}
	require.Positive(t, taken)
	require.Equal(t, 50_000, b.count(t, "SELECT count() FROM logs"))
}

func TestInsertTellsTheServerTokenAndDeadline(t *testing.T) {
	b := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, b.inserter.Insert(ctx, "logs", rowsOf(topic, span(0, 0, 9), 1), b.cfg.Database+"/token", ch.SettingInt("max_threads", 1)))
	var s map[string]string
	b.logged(t, &s, "SELECT Settings FROM system.query_log WHERE query_id = ? AND type = 'QueryFinish'", b.cfg.Database+"/token")
	require.Equal(t, b.cfg.Database+"/token", s["insert_deduplication_token"])
	require.NotEqual(t, "0", s["deduplicate_blocks_in_dependent_materialized_views"], "absent where 1 is the default")
	require.Equal(t, "0", s["throw_on_max_partitions_per_insert_block"])
	require.Equal(t, "20", s["max_execution_time"])
	require.Equal(t, "0", s["async_insert"])
	require.Equal(t, "1", s["max_threads"])
}

func TestABlockMaySpanManyYears(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(topic, span(0, 0, 199), 150), "years"))
	require.Equal(t, 200, b.count(t, "SELECT count() FROM logs"))
}

func TestNoRowsAreNoInsert(t *testing.T) {
	nobody := clickhouse.NewInserter(clickhouse.Config{Hosts: []string{"127.0.0.1:1"}})
	require.NoError(t, nobody.Insert(t.Context(), "logs", nil, "t"))
	require.NoError(t, nobody.Insert(t.Context(), "logs", rowsOf(topic, nil, 1), "t"))
}

func TestAfterAnExceptionTheNextInsertWorks(t *testing.T) {
	b := setup(t)
	b.exec(t, "ALTER TABLE logs ADD CONSTRAINT small CHECK _offset < 100")
	f := failureOf(t, b.inserter.Insert(t.Context(), "logs", rowsOf(topic, span(0, 50, 149), 1), "bad"))
	require.Equal(t, clickhouse.Rejected, f.Class)
	require.EqualValues(t, 469, f.Code)
	require.True(t, f.Sent)
	f = failureOf(t, b.inserter.Insert(t.Context(), "nowhere", rowsOf(topic, span(0, 0, 9), 1), "lost"))
	require.Equal(t, clickhouse.Blocked, f.Class)
	require.Equal(t, "UNKNOWN_TABLE", f.Name)
	require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(topic, span(0, 0, 9), 1), "good"))
	require.Equal(t, 10, b.count(t, "SELECT count() FROM logs"))
}

func TestWhatNeverConnectedSentNothing(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   clickhouse.Config
		class clickhouse.Class
		name  string
	}{
		"nobody listens": {clickhouse.Config{Hosts: []string{"127.0.0.1:1"}}, clickhouse.Outage, clickhouse.Unreachable},
		"no such host":   {clickhouse.Config{Hosts: []string{"no.such.host.invalid:1"}}, clickhouse.Outage, clickhouse.Unreachable},
		"no host":        {clickhouse.Config{}, clickhouse.Outage, clickhouse.Unreachable},
		"no TLS there":   {clickhouse.Config{Secure: true, Hosts: []string{refusing(t, 101)}}, clickhouse.Outage, clickhouse.Unreachable},
		"wrong password": {clickhouse.Config{Hosts: []string{refusing(t, 516)}}, clickhouse.Blocked, "AUTHENTICATION_FAILED"},
		"no database":    {clickhouse.Config{Hosts: []string{refusing(t, 81)}}, clickhouse.Blocked, "UNKNOWN_DATABASE"},
		"a word of one":  {clickhouse.Config{Hosts: []string{refusing(t, 516), "127.0.0.1:1"}}, clickhouse.Blocked, "AUTHENTICATION_FAILED"},
	} {
		i := clickhouse.NewInserter(c.cfg)
		for _, err := range []error{i.Insert(t.Context(), "logs", rowsOf(topic, span(0, 0, 9), 1), "t"), i.Ping(t.Context())} {
			f := failureOf(t, err)
			require.Equal(t, c.class, f.Class, "%s: %v", name, f)
			require.Equal(t, c.name, f.Name, "%s: %v", name, f)
			require.False(t, f.Sent, name)
		}
	}
}

func TestBothDriversReadARefusalAlike(t *testing.T) {
	conn := clickhousetest.Open(t, clickhouse.Config{Hosts: []string{refusing(t, 516)}})
	f := failureOf(t, clickhouse.Ping(t.Context(), conn))
	require.Equal(t, clickhouse.Blocked, f.Class)
	require.Equal(t, "AUTHENTICATION_FAILED", f.Name)
}

func TestTheFirstHostThatAnswersIsUsed(t *testing.T) {
	b := setup(t)
	cfg := b.cfg
	cfg.Hosts = append([]string{"127.0.0.1:1"}, b.cfg.Addresses()...)
	i := clickhouse.NewInserter(cfg)
	require.NoError(t, i.Insert(t.Context(), "logs", rowsOf(topic, span(0, 0, 9), 1), "t"))
	require.NoError(t, i.Close())
	require.Equal(t, 10, b.count(t, "SELECT count() FROM logs"))
}

func TestLz4SendsTheSameRows(t *testing.T) {
	b := setup(t)
	cfg := b.cfg
	cfg.Compression = "lz4"
	i := clickhouse.NewInserter(cfg)
	require.NoError(t, i.Insert(t.Context(), "logs", rowsOf(topic, span(0, 0, 9_999), 1), "t"))
	require.NoError(t, i.Close())
	require.Equal(t, 10_000, b.count(t, "SELECT uniqExact(_offset) FROM logs"))
}

func TestABrokenIdleConnectionCostsNoFailure(t *testing.T) {
	b := setup(t)
	p, cfg := through(t, b.cfg)
	i := clickhouse.NewInserter(cfg)
	require.NoError(t, i.Ping(t.Context()))
	p.cut()
	require.NoError(t, i.Insert(t.Context(), "logs", rowsOf(topic, span(0, 0, 9), 1), "t"))
}

func TestALostAnswerIsInDoubtAndAResendIsHarmless(t *testing.T) {
	b := setup(t)
	p, cfg := through(t, b.cfg)
	i := clickhouse.NewInserter(cfg)
	rows := rowsOf(topic, span(0, 0, 49_999), 1)
	require.NoError(t, i.Ping(t.Context()))
	p.mute.Store(100_000) // in the middle of the rows
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	began := time.Now()
	f := failureOf(t, i.Insert(ctx, "logs", rows, "t"))
	require.Less(t, time.Since(began), 5*time.Second)
	require.Equal(t, clickhouse.Outage, f.Class)
	require.True(t, f.Sent)
	p.mute.Store(0)
	require.NoError(t, i.Insert(t.Context(), "logs", rows, "t"))
	require.Equal(t, 50_000, b.count(t, "SELECT count() FROM logs"))
}

func TestCancellingAnInsertIsNoticedAtOnce(t *testing.T) {
	b := setup(t)
	p, cfg := through(t, b.cfg)
	i := clickhouse.NewInserter(cfg)
	require.NoError(t, i.Ping(t.Context()))
	p.mute.Store(100_000)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	began := time.Now()
	f := failureOf(t, i.Insert(ctx, "logs", rowsOf(topic, span(0, 0, 49_999), 1), "t"))
	require.Less(t, time.Since(began), 3*time.Second)
	require.True(t, f.Sent)
	require.ErrorIs(t, f, context.Canceled)
}

func TestASilentServerIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	i := clickhouse.NewInserter(clickhouse.Config{Hosts: []string{l.Addr().String()}, User: "default", Database: "default"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	f := failureOf(t, i.Insert(ctx, "logs", rowsOf(topic, span(0, 0, 9), 1), "t"))
	require.Less(t, time.Since(began), 4*time.Second)
	require.False(t, f.Sent)
}
