package integration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
)

const notReplicated = "there are no replicated tables here"

// none are panels without data while all is well, and why.
var none = map[string]string{
	"clickhouse/Replication queue/A": notReplicated,
	"clickhouse/Replication delay/A": notReplicated,
	"batches/What is stuck/A":        "nothing is stuck",
}

// noneInOutage are panels without data while ClickHouse is away, and why.
var noneInOutage = map[string]string{
	"clickhouse/Replication queue/A": notReplicated,
	"clickhouse/Replication delay/A": notReplicated,
}

// Prometheus asks real programs on real servers, and every query of the dashboards and all that the alerts look at is there, while all is
// well and while ClickHouse is away. Alerts fire for what was done, and no others.
func TestDashboardsAndAlertsTellWhatHappens(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	questions := append(asks(t), selectors(t, w.rules)...)

	began := time.Now()
	for _, topic := range []string{load.Logs, load.Metrics, load.Events} {
		w.starter("audit", "--topic", topic)
	}
	w.answers(questions, began, none)
	require.Empty(t, w.fired(began), "while all is well")

	// An outage. What ended before it is no answer.
	began = time.Now()
	require.NoError(t, w.ClickHouse.Kill())
	w.fire(began, "IngestNotFlowing")
	amid := time.Now()
	w.fire(began, "IngestStale", "IngestOldBatch")
	w.answers(questions, amid, noneInOutage)
	require.Equal(t, []string{"IngestNotFlowing", "IngestOldBatch", "IngestStale"}, w.fired(began))
	require.NoError(t, w.ClickHouse.Start(w.ctx))
	w.calm()

}
