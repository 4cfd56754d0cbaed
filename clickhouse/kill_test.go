package clickhouse_test

import (
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
)

func killer(t *testing.T, c clickhouse.Config) *clickhouse.Killer {
	t.Helper()
	k, err := clickhouse.NewKiller(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	return k
}

func TestKillEndsTheQueriesOfAPrefixAndNoOther(t *testing.T) {
	c, conn := clickhousetest.Database(t)
	k := killer(t, c)
	prefix := c.Database + "/it's 100%_/"
	ends := map[string]chan error{prefix + "0/a": make(chan error, 1), prefix + "1/b": make(chan error, 1), c.Database + "/it's 100%x/0": make(chan error, 1)}
	for id, end := range ends {
		go func() {
			ctx := chgo.Context(t.Context(), chgo.WithQueryID(id), chgo.WithSettings(chgo.Settings{"function_sleep_max_microseconds_per_block": 0, "max_block_size": 1}))
			end <- conn.Exec(ctx, "SELECT sleepEachRow(0.05) FROM numbers(400) FORMAT Null")
		}()
	}
	running := func(prefix string, n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			got, err := k.Running(t.Context(), prefix)
			return err == nil && got == n
		}, 10*time.Second, 20*time.Millisecond)
	}
	running(c.Database, 3)
	n, err := k.Kill(t.Context(), prefix)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	running(c.Database, 1)
	for id, end := range ends {
		if id == c.Database+"/it's 100%x/0" {
			require.Empty(t, end)
			continue
		}
		require.Equal(t, "QUERY_WAS_CANCELLED", clickhouse.Classify(<-end).Name)
	}
	n, err = k.Kill(t.Context(), c.Database)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	running(c.Database, 0)
	n, err = k.Kill(t.Context(), c.Database)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestKillWantsTheAnswerOfEveryHost(t *testing.T) {
	c, _ := clickhousetest.Database(t)
	c.Hosts = append(c.Addresses(), "127.0.0.1:1")
	_, err := killer(t, c).Kill(t.Context(), "nothing")
	require.Equal(t, clickhouse.Outage, failureOf(t, err).Class)
	require.ErrorContains(t, err, "127.0.0.1:1")
}

func TestKillRefusesToEndEverything(t *testing.T) {
	_, err := killer(t, clickhouse.Config{Hosts: []string{"127.0.0.1:1"}}).Kill(t.Context(), "")
	require.ErrorContains(t, err, "every query")
}
