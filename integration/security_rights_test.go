package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// Each program has a user of its own, which may do nothing at first. What is missing is named by the program, or by the batch that it
// blocks, and each goes on by itself once it is granted.
func TestEachRightInKafkaThatIsMissingIsNamedAndWhatWaitsForItGoesOnOnceGranted(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	user := func(name string) way { return g.by("SASL_PLAINTEXT", "SASL_PLAINTEXT", as(name, "PLAIN", secret)...) }
	dlq := func(topic string) []string { return []string{topic + ".dlq"} }

	g.refusedUntil("worker", user("storer"), "grant DescribeConfigs on topics "+strings.Join(topics, ", "))
	g.grant("storer", right{topics: topics, operation: kadm.OpDescribeConfigs})
	g.programs(user("storer"), user("planner"))
	for _, topic := range topics {
		said(t, g.consumer, "grant Read on topic "+topic+" to KAFKA_SASL_USERNAME")
	}
	g.grant("planner", right{topics: topics, operation: kadm.OpRead})
	said(t, g.consumer, "grant Read on KAFKA_GROUP_ID "+rig.Group+" to KAFKA_SASL_USERNAME")
	require.True(t, g.consumer.Alive())

	g.refusedUntil("starter", user("sender"), "Write on topic "+load.Logs, "send", "--ndjson", ndjson(t, 1))
	g.grant("sender", right{topics: topics, operation: kadm.OpWrite})
	g.sendBy(user("sender"), 20)

	// The worker may not read logs, nor make the topic for letters of metrics, nor write into that of events.
	_, err := kadm.NewClient(g.Client).CreateTopic(g.ctx, 1, 1, nil, load.Events+".dlq")
	require.NoError(t, err)
	g.grant("storer", right{topics: []string{load.Metrics, load.Events}, operation: kadm.OpRead}, right{topics: dlq(load.Metrics), operation: kadm.OpDescribe})
	for _, topic := range []string{load.Metrics, load.Events} {
		g.broken(topic)
	}
	g.grant("planner", right{group: true, operation: kadm.OpRead})
	said(t, g.consumer, "planning goes on")
	wait, cancel := context.WithTimeout(g.ctx, time.Minute)
	defer cancel()
	for topic, missing := range map[string]string{
		load.Logs: "grant Read on topic " + load.Logs, load.Metrics: "grant Create on topic " + load.Metrics + ".dlq", load.Events: "grant Write on topic " + load.Events + ".dlq",
	} {
		g.blocked(wait, topic, missing)
	}
	b, err := g.Count(g.ctx)
	require.NoError(t, err)
	require.Zero(t, b.Dead)
	g.grant("storer", right{topics: []string{load.Logs}, operation: kadm.OpRead}, right{topics: letterTopics(), operation: kadm.OpWrite}, right{topics: letterTopics(), operation: kadm.OpCreate})
	g.exact()
	said(t, g.consumer, "grant DescribeConfigs on topic "+load.Logs) // for a metric

	// A right that is taken away while all goes well holds up, and loses nothing either.
	g.revoke("planner", right{group: true, operation: kadm.OpRead})
	g.sendBy(user("sender"), 20)
	require.Eventually(t, func() bool { return strings.Count(g.consumer.Log(), "grant Read on KAFKA_GROUP_ID") > len(topics) }, time.Minute, 50*time.Millisecond)
	g.grant("planner", right{group: true, operation: kadm.OpRead})
	g.exact()
	require.NoError(t, g.Died())
	for _, topic := range topics {
		require.NoError(t, g.Marked(g.ctx, topic))
	}
	audit, err := g.Starter("audit", "--topic", load.Logs, "--all")
	require.NoError(t, err)
	code, err := audit.Wait(g.ctx)
	require.NoError(t, err)
	require.Equal(t, 2, code, audit.Log())
	require.Contains(t, audit.Log(), "grant Describe on KAFKA_GROUP_ID "+rig.Group)
	g.grant("storer", right{group: true, operation: kadm.OpDescribe})
	g.clean(topics...)
}

// refusedUntil has the program end with one line that names what to grant.
func (g *guarded) refusedUntil(program string, w way, missing string, args ...string) {
	g.t.Helper()
	p, err := g.Launch(program, w, args...)
	require.NoError(g.t, err)
	code, err := p.Wait(g.ctx)
	require.NoError(g.t, err)
	require.Positive(g.t, code, p.Log())
	require.Len(g.t, complaints(p.Log()), 1, p.Log())
	require.Contains(g.t, p.Log(), missing)
	require.Contains(g.t, p.Log(), "to KAFKA_SASL_USERNAME")
}

// broken sends a record that ends among the dead letters.
func (g *guarded) broken(topic string) {
	g.t.Helper()
	r, _ := load.New(1, load.Mix{}).Next()
	r.Topic, r.Value = topic, []byte("no JSON")
	require.NoError(g.t, g.Client.ProduceSync(g.ctx, r).FirstErr())
	g.sent.Broken.Add(1)
}

// blocked waits until a batch of the topic is blocked, and says by what.
func (g *guarded) blocked(ctx context.Context, topic, by string) {
	g.t.Helper()
	require.NoError(g.t, g.Until(ctx, "wait for a blocked batch of "+topic, func(ctx context.Context) (bool, string) {
		found, err := g.Find(ctx, `WorkflowType = "Ingest" AND ExecutionStatus = "Running" AND IngestState = "blocked" AND IngestError = "KAFKA_ACCESS_DENIED" AND IngestTopic = "`+topic+`"`)
		if err != nil || len(found) == 0 {
			return false, ""
		}
		details, err := g.Details(ctx, found[0].ID)
		return err == nil && strings.Contains(details, by), details
	}))
}
