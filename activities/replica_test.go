package activities

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
)

// On a replica that is behind, what was skipped or lost looks like a gap, which a repair would store, and a dead letter like none. The
// server has no cluster, so no replica is ever ready: whatever answers here asks past the one that was made ready.
func TestNothingThatAVerdictRestsOnIsReadFromAReplicaThatIsNotReady(t *testing.T) {
	b := setup(t)
	b.dead(10, never)
	cfg := b.cfg
	cfg.Cluster = "main"
	alone := b.Looker
	var err error
	b.Looker, err = clickhouse.LookerOf(cfg, b.conn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Looker.Close()) })
	const notReady = "is not replicated"
	r := batch.Range{Last: 9}

	s := &auditor{a: b.Activities, in: AuditRangeInput{Topic: topic, TopicID: b.id, Range: r}}
	_, err = s.exceptions(b.ctx, r)
	require.ErrorContains(t, err, notReady)
	_, err = b.pick(b.ctx, PickInput{Letters: Letters{Topic: topic}, Most: 7})
	require.ErrorContains(t, err, notReady)
	err = b.read(b.ctx, b.redriveJob(batch.Ranges{r}), r, func([]*kgo.Record) error { return errors.New("a letter came") })
	require.ErrorContains(t, err, notReady)
	_, err = b.PlanAside(b.ctx, AsideInput{Topic: topic, TopicID: b.id, Truncated: []batch.Truncation{{End: 3}}})
	require.ErrorContains(t, err, notReady, "and it waits for no other replica")
	_, err = mover{b.Activities, AsideInput{Topic: topic, TopicID: b.id}}.count(b.ctx, deadLetters, "1")
	require.ErrorContains(t, err, notReady)

	b.Looker = alone
	_, err = s.exceptions(b.ctx, r)
	require.NoError(t, err, "one server is always ready")
}
