package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
)

// The other tests go by these times, whatever they are; that they are enough is said here.
func TestTheTimesThatThePromiseRestsOnFitTogether(t *testing.T) {
	require.GreaterOrEqual(t, Quiet, clickhouse.InsertTimeout+HeartbeatTimeout, "an insert that began just before the last heartbeat was too old is over")
	require.Greater(t, PlanAsideTimeout, blipsFor+clickhouse.SyncTimeout+10*time.Second, "a replica has the time to be ready, and its question to be answered")
	require.Less(t, beatEvery, HeartbeatTimeout/2, "a heartbeat may be lost")
	const window, insertsPerSecond = 100_000, 50 // the dedup window of every table, and more than servers take for long
	require.Less(t, LookValid, window/insertsPerSecond*time.Second, "a token is remembered for as long as its look is valid")
}
