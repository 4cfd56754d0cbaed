package integration

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/rig"
)

// The broker is silent from one moment to the next, and what was on its way to it is stored marked when the agent ends; then the
// broker goes on, and reads it.
func TestWhatIsInDoubtWhenAnAgentEndsIsStoredOnceAfterAnAudit(t *testing.T) {
	t.Parallel()
	s := newTown(t)
	s.ready()
	a, err := s.arrive(rate, "-flush", "200ms", "-patience", "500ms", "-deadline", "8s")
	require.NoError(t, err)
	s.says(a, "records go to kafka", func(r report) bool { return r.Flushed > 2000 && r.Sent > 2000 })
	require.NoError(t, s.Kafka.Freeze())
	s.says(a, "some are in doubt, and others go straight to clickhouse", func(r report) bool { return r.InDoubt > 0 && r.Direct > 0 })
	s.leave()
	r := a.last(t)
	require.Positive(t, r.Marked)
	_, _, marked := s.ways()
	require.Equal(t, r.Marked, marked)
	s.once()
	require.NoError(t, s.Kafka.Thaw())

	doubles := func(where string) int64 {
		return s.count("SELECT count() FROM (SELECT 1 FROM " + numbered + " GROUP BY agent, n HAVING count() > 1" + where + ")")
	}
	require.NoError(t, s.Until(s.ctx, "kafka has brought some too", func(context.Context) (bool, string) { return doubles("") > 0, "" }))
	s.ingested()
	twice := doubles("")
	t.Logf("%d marked, %d of them doubles", r.Marked, twice)
	require.Equal(t, twice, doubles(" AND count() = 2 AND countIf(_partition = -1 AND _offset = 1) = 1"), "each is one marked row and one of Kafka's")
	require.Equal(t, r.Accepted, s.count("SELECT uniqExact(n) FROM "+numbered))

	audits := make([]*rig.Process, len(allTopics))
	for i, topic := range allTopics {
		require.NoError(t, s.Marked(s.ctx, topic))
		audits[i], err = s.Starter("audit", "--json", "--topic", topic)
		require.NoError(t, err)
	}
	var removed int64
	for _, p := range audits {
		found := s.auditEnd(p, 0)
		require.Equal(t, "clean", found.Verdict)
		require.Zero(t, found.Direct.Twice)
		removed += found.Direct.Removed
	}
	require.Equal(t, twice, removed)
	s.once()
	require.Equal(t, r.Accepted, s.count("SELECT count() FROM "+numbered))
	s.clean(allTopics...)
}
