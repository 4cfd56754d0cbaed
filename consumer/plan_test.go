package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/planlog"
	"github.com/ai-backlog/ingest/settings"
)

// lines is a log that is read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newPlanning(t *testing.T, c *kfake.Cluster) (*planning, *lines) {
	t.Helper()
	cfg := Config{Kafka: kafka.Config{Servers: c.ListenAddrs(), GroupID: "g", SecurityProtocol: "PLAINTEXT"}, SessionTimeout: 6 * time.Second, Topics: settings.Topics{Logs: "logs"}}
	m, err := kafka.Join(cfg.Kafka, cfg.SessionTimeout, []string{"logs"})
	require.NoError(t, err)
	t.Cleanup(m.Client.Close)
	out := &lines{}
	return &planning{cfg: cfg, name: "logs", member: m, metrics: newMetrics(prometheus.NewRegistry(), []string{"logs"}), log: slog.New(slog.NewTextHandler(out, nil))}, out
}

func TestAMissingTopicIsOneLineThatSaysHowToCreateIt(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	p, out := newPlanning(t, c)
	for range 3 {
		p.looked = time.Time{}
		require.NoError(t, p.round(t.Context()))
	}
	require.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
	require.Contains(t, out.String(), "--create --topic logs")
	require.NoError(t, c.CreateTopic("logs", 1, nil))
	p.looked = time.Time{}
	require.NoError(t, p.round(t.Context()))
	require.Contains(t, out.String(), "planning goes on")
}

func TestATopicWithoutAnIDIsOneLineThatSaysWhatToUpgrade(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "logs"), kfake.MaxVersions(kversion.V2_7_0()))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	p, out := newPlanning(t, c)
	require.Eventually(t, func() bool { return p.member.Holds("logs") != 0 }, 10*time.Second, 10*time.Millisecond)
	for range 3 {
		require.NoError(t, p.round(t.Context()))
	}
	require.Equal(t, 1, strings.Count(out.String(), "upgrade the brokers"), out.String())
}

func TestARefusedLoginEndsTheProgram(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "logs"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: kerr.SaslAuthenticationFailed, Count: -1})
	p, _ := newPlanning(t, c)
	require.Eventually(t, func() bool { return p.member.Err() != nil }, 10*time.Second, 10*time.Millisecond)
	p.looked = time.Time{}
	err = p.run(t.Context())
	require.ErrorIs(t, err, kerr.SaslAuthenticationFailed)
	require.ErrorContains(t, err, "KAFKA_SASL_PASSWORD")
}

func TestAMissingRightToTheGroupIsOneLineAndPlanningBeginsOnceItIsGranted(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "logs"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	denied := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: kerr.GroupAuthorizationFailed, Count: -1})
	p, out := newPlanning(t, c)
	require.Eventually(t, func() bool { return p.member.Err() != nil }, 10*time.Second, 10*time.Millisecond)
	for range 3 {
		p.looked = time.Time{}
		require.NoError(t, p.round(t.Context()))
	}
	require.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
	require.Contains(t, out.String(), "grant Read on KAFKA_GROUP_ID "+p.cfg.Kafka.GroupID+" to KAFKA_SASL_USERNAME")
	denied.Remove()
	require.Eventually(t, func() bool { return p.member.Holds("logs") != 0 }, 20*time.Second, 10*time.Millisecond)
}

func TestBeingAskedToStopIsNoTrouble(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	p, out := newPlanning(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, p.run(ctx))
	require.Empty(t, out.String())
}

func TestTheTopicAsPlanlogAsksForIt(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "logs"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	p, _ := newPlanning(t, c)
	require.Eventually(t, func() bool { return p.member.Holds("logs") != 0 }, 10*time.Second, 10*time.Millisecond)
	k := topic{p.member, "logs", p.member.Holds("logs")}
	logs, err := k.Logs(t.Context())
	require.NoError(t, err)
	require.Len(t, logs.Partitions, 2)
	want := map[int32]planlog.Commit{0: {Offset: 3, Metadata: "m"}, 1: {Offset: 4, Metadata: "m"}}
	require.NoError(t, k.Commit(t.Context(), logs.TopicID, want))
	got, err := k.Fetch(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestEveryStatusOfAWorkflowIsKnown(t *testing.T) {
	for code := range enumspb.WorkflowExecutionStatus_name {
		name := enumspb.WorkflowExecutionStatus(code).String()
		want := planlog.Running
		switch name {
		case "Completed":
			want = planlog.Completed
		case "Failed", "Canceled", "Terminated", "TimedOut":
			want = planlog.Failed
		}
		require.Equal(t, want, status(enumspb.WorkflowExecutionStatus(code)), name)
	}
}
