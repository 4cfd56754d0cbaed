package clickhouse_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
)

// onCluster is the bundle's looker for a cluster. The server has none, and no Keeper: what makes a replica ready is a question instead.
func (b bundle) onCluster(t *testing.T) *clickhouse.Looker {
	t.Helper()
	cfg := b.cfg
	cfg.Cluster = "main"
	l, err := clickhouse.LookerOf(cfg, b.conn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func TestALookOnAClusterAnswersNothingIfTheReplicaIsNotReady(t *testing.T) {
	b := setup(t)
	l, id := b.onCluster(t), batch.TopicID{1}
	r := batch.Range{Last: 9}
	_, _, err := l.Look(t.Context(), "logs", id, batch.Ranges{r})
	require.ErrorContains(t, err, "is not replicated")
	_, _, err = l.Held(t.Context(), "logs", id, r)
	require.Error(t, err)
	_, err = l.Unsettled(t.Context(), "dead_letters", id, r)
	require.Error(t, err)
	_, err = l.DirectEvents(t.Context(), "logs", "t", time.Now(), time.Now(), []uuid.UUID{{1}})
	require.Error(t, err)
	_, err = l.Query(t.Context(), "ingest_exceptions", "SELECT kind FROM ingest_exceptions") //nolint:rowserrcheck,sqlclosecheck // there are no rows
	require.ErrorContains(t, err, "is not replicated")
	_, err = l.Count(t.Context(), "ingest_exceptions", "SELECT count() FROM ingest_exceptions")
	require.Error(t, err)
	require.Error(t, l.Level(t.Context(), "logs"), "the server has no cluster")
	require.NoError(t, b.looker.Level(t.Context(), "logs"), "one server is always level")
}

// Each look is on the very connection that was made ready before, so it is the same server, also behind a balancer.
func TestALookOnAClusterIsOnTheConnectionThatWasMadeReady(t *testing.T) {
	b := setup(t)
	l, id := b.onCluster(t), batch.TopicID{2}
	mark := "ready " + b.cfg.Database
	l.ReadyBy("SELECT '" + mark + "'")
	ranges := batch.Ranges{{Last: 99}, {Partition: 1, First: 64, Last: 200}}
	require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(id, ranges, 1), "a"))
	ask := batch.Ranges{{Last: 120}, {Partition: 1, Last: 300}, {Partition: 7, Last: 5}}
	want, _ := b.look(t, "logs", id, ask)
	for range 5 {
		done := make(chan error)
		for range 4 {
			go func() {
				got, doubled, err := l.Look(t.Context(), "logs", id, ask)
				if err == nil && (doubled != 0 || !slices.Equal(got, want)) {
					t.Errorf("%v, and %d twice: want %v", got, doubled, want)
				}
				done <- err
			}()
		}
		for range 4 {
			require.NoError(t, <-done)
		}
	}
	held, doubled, err := l.Held(t.Context(), "logs", id, ranges[0])
	require.NoError(t, err)
	require.EqualValues(t, 100, held.Len())
	require.Zero(t, doubled.Len())
	var faults, looks uint64
	b.logged(t, &looks, "SELECT count() FROM system.query_log WHERE type = 'QueryFinish' AND query LIKE concat('SELECT _partition, %FROM `logs`%') AND current_database = ? HAVING count() >= 40", b.cfg.Database)
	require.NoError(t, b.conn.QueryRow(t.Context(), `SELECT count() FROM (SELECT port, countIf(query LIKE concat('%', ?, '%')) AS ready, countIf(query LIKE 'SELECT _partition, %') AS looks
		FROM system.query_log WHERE type = 'QueryFinish' AND current_database = ? GROUP BY port HAVING ready > 0 AND looks > 2 * ready)`, mark, b.cfg.Database).Scan(&faults))
	require.Zero(t, faults, "a connection with more looks than it was made ready for")
}

func TestAQuestionOnAClusterIsOnTheConnectionThatWasMadeReadyAndGivesItBack(t *testing.T) {
	b := setup(t)
	l := b.onCluster(t)
	mark := "ready " + b.cfg.Database
	l.ReadyBy("SELECT '" + mark + "'")
	require.NoError(t, b.conn.Exec(t.Context(), "INSERT INTO ingest_exceptions (kind, _topic, first, last) VALUES ('skipped', 't', 3, 5), ('lost', 't', 7, 9)"))
	const questions = 40 // more than there are connections
	for range questions {
		rows, err := l.Query(t.Context(), "ingest_exceptions", "SELECT kind, first FROM ingest_exceptions WHERE _topic = ? ORDER BY first", "t")
		require.NoError(t, err)
		var kinds []string
		for rows.Next() {
			var kind string
			var first int64
			require.NoError(t, rows.Scan(&kind, &first))
			kinds = append(kinds, fmt.Sprint(kind, first))
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		require.Equal(t, []string{"skipped3", "lost7"}, kinds)
		n, err := l.Count(t.Context(), "ingest_exceptions", "SELECT count() FROM ingest_exceptions WHERE _topic = ?", "t")
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
	}
	var asked, ready, faults uint64
	b.logged(t, &asked, "SELECT count() FROM system.query_log WHERE type = 'QueryFinish' AND query LIKE 'SELECT %FROM ingest_exceptions%' AND current_database = ? HAVING count() >= 80", b.cfg.Database)
	require.NoError(t, b.conn.QueryRow(t.Context(), `SELECT sum(ready), countIf(ready < asked) FROM (SELECT port, countIf(query LIKE concat('%', ?, '%')) AS ready, countIf(query LIKE 'SELECT %FROM ingest_exceptions%') AS asked
		FROM system.query_log WHERE type = 'QueryFinish' AND current_database = ? GROUP BY port HAVING asked > 0)`, mark, b.cfg.Database).Scan(&ready, &faults))
	require.EqualValues(t, 2*questions, ready)
	require.Zero(t, faults, "a connection with more questions than it was made ready for")
}

func TestAnInsertIntoAClusterAsksForAQuorumAndGivesUpOnItInTime(t *testing.T) {
	b := setup(t)
	cfg := b.cfg
	cfg.Cluster = "main"
	b.inserter = clickhouse.NewInserter(cfg)
	t.Cleanup(func() { _ = b.inserter.Close() })
	token := cfg.Database + "/quorum"
	require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(batch.TopicID{3}, batch.Ranges{{Last: 9}}, 1), token))
	settings := func(id string) []string {
		var set []string
		b.logged(t, &set, "SELECT [Settings['insert_quorum'], if(Settings['insert_quorum_parallel'] = '0', 'alone', 'beside others'), Settings['insert_quorum_timeout']] FROM system.query_log WHERE type = 'QueryFinish' AND query_id = ?", id)
		return set
	}
	require.Equal(t, []string{"auto", "beside others", "10000"}, settings(token))

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, b.inserter.Insert(ctx, "logs", rowsOf(batch.TopicID{3}, batch.Ranges{{First: 10, Last: 19}}, 1), token+"/late"))
	late := settings(token + "/late")
	ms, err := strconv.Atoi(late[2])
	require.NoError(t, err)
	require.Positive(t, ms)
	require.LessOrEqual(t, ms, 5000, "not longer than the insert has")

	conn := clickhousetest.Open(t, cfg) // notes, and what else is inserted row by row
	note := cfg.Database + "/note"
	require.NoError(t, conn.Exec(chgo.Context(t.Context(), chgo.WithQueryID(note)), "INSERT INTO ingest_exceptions (kind) VALUES ('lost')"))
	require.Equal(t, []string{"auto", "beside others", "10000"}, settings(note))
}

// The server waits for each partition's quorum in turn, and a wait is not cut short by max_execution_time.
func TestTheQuorumsOfABlockFitIntoTheTimeOfItsInsert(t *testing.T) {
	c := clickhouse.Config{Cluster: "main"}
	require.Equal(t, map[string]string{"insert_quorum": "auto", "insert_quorum_parallel": "1", "insert_quorum_timeout": "10000"}, clickhouse.Quorum(c, clickhouse.InsertTimeout))
	require.Equal(t, "3000", clickhouse.Quorum(c, 3*time.Second)["insert_quorum_timeout"])
	require.Empty(t, clickhouse.Quorum(clickhouse.Config{}, time.Second))
	require.LessOrEqual(t, 6*clickhouse.QuorumTimeout, clickhouse.InsertTimeout)
}

// A profile may have it that a statement ON CLUSTER is well though a server was away: then rows would make way on the others only.
func TestAStatementForAllServersFailsOrWaitsForNobodyWhateverTheProfileSays(t *testing.T) {
	b := setup(t)
	cfg := b.cfg
	cfg.Cluster = "main"
	conn, err := chgo.Open(&chgo.Options{
		Addr: cfg.Addresses(), Auth: chgo.Auth{Database: cfg.Database, Username: cfg.User, Password: cfg.Password},
		Settings: chgo.Settings{"distributed_ddl_output_mode": "never_throw", "distributed_ddl_task_timeout": 180},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	l, err := clickhouse.LookerOf(cfg, conn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	const is = "SELECT throwIf(getSetting('distributed_ddl_output_mode') != '%s' OR getSetting('distributed_ddl_task_timeout') != %d)"
	l.LevelBy(fmt.Sprintf(is, "throw", 60))
	require.NoError(t, l.Level(t.Context(), "logs"), "level means every replica")
	require.NoError(t, conn.Exec(clickhouse.OnCluster(t.Context()), fmt.Sprintf(is, "null_status_on_timeout", 3)))
	require.NoError(t, conn.Exec(t.Context(), fmt.Sprintf(is, "never_throw", 180)))
}

func TestTheServerUnderstandsTheStatementsOfACluster(t *testing.T) {
	b := setup(t)
	cfg := b.cfg
	cfg.Cluster = "main"
	for _, sql := range clickhouse.SyncStatements(cfg, "logs") {
		var text string
		require.NoError(t, b.conn.QueryRow(t.Context(), "SELECT formatQuerySingleLine(?)", sql).Scan(&text), sql)
	}
}
