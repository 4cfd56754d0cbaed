package schema

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
)

var onCluster = applier{Options: Options{Database: "agents", Cluster: "main"}}

// have are tables that fit, less some.
func have(t *testing.T, less ...string) map[string]found {
	t.Helper()
	out := map[string]found{}
	for _, t := range tables {
		f := found{engine: replicatedAs, columns: map[string]foundColumn{}}
		for _, c := range t.columns {
			f.columns[c.name] = foundColumn{kind: c.kind}
		}
		out[t.name] = f
	}
	for _, name := range less {
		delete(out, name)
	}
	return out
}

func TestATableThatAServerOfAClusterHasStillToCreateIsWaitedFor(t *testing.T) {
	require.NoError(t, onCluster.complete(have(t)))
	err := onCluster.complete(have(t, "logs", "events"))
	require.ErrorContains(t, err, "has not created table logs, events of agents yet")
	require.Equal(t, clickhouse.Outage, clickhouse.Classify(err).Class)
	var bad *MismatchError
	require.ErrorAs(t, applier{Options: Options{Database: "agents"}}.complete(have(t, "logs")), &bad, "one server has done what it was told")
	other := have(t)
	delete(other["logs"].columns, "level")
	require.ErrorAs(t, onCluster.complete(other), &bad, "waiting does not cure it")
}

func TestTablesAreOnMostServersBeforeAnInsertCountsOnIt(t *testing.T) {
	for _, c := range []struct {
		servers, fewest uint64
		enough          bool
	}{{1, 1, true}, {2, 1, false}, {2, 2, true}, {3, 1, false}, {3, 2, true}, {5, 2, false}, {5, 3, true}, {3, 0, false}} {
		err := onCluster.enough(c.servers, 6, c.fewest)
		require.Equal(t, c.enough, err == nil, c)
		if err != nil {
			require.Equal(t, clickhouse.Outage, clickhouse.Classify(err).Class)
		}
	}
	require.NoError(t, onCluster.enough(3, 0, 0), "an engine that is no replica of this kind")
}

func TestTheQuestionForReplicasIsOneThatTheServerAnswers(t *testing.T) {
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, applier{conn, Options{Database: cfg.Database, Cluster: "main"}}.most(t.Context()))
}

// With a server away each statement takes its whole wait, and the second that the server sleeps between two looks at the others.
func TestTheStatementsOfAClusterFitIntoTheTimeForThem(t *testing.T) {
	var all time.Duration
	for range statements(t, modes["testdata/cluster.sql"]) {
		all += clickhouse.DDLWait + 2*time.Second
	}
	require.Less(t, all, ClusterTime)
}

func TestOnAClusterOnlyTablesThatAreMissingAreAskedFor(t *testing.T) {
	all, err := migrations(layoutOf(onCluster.Options))
	require.NoError(t, err)
	for _, m := range all { // without a connection: whatever is sent panics
		require.NoError(t, onCluster.run(t.Context(), m, have(t)))
		require.Panics(t, func() { _ = onCluster.run(t.Context(), m, have(t, m.name)) })
	}
	require.NoError(t, onCluster.createRecords(t.Context(), layout{}, map[string]found{records: {}}))
}
