package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/kafka/kafkatest"
)

func TestTheGroupIsToldByEachOfItsMembers(t *testing.T) {
	b := kafkatest.New(t, 1, []string{"logs"})
	reg := prometheus.NewPedanticRegistry()
	m := newMembership(reg)
	require.Equal(t, 1, testutil.CollectAndCount(m), "no assignment yet, and that is counted")
	cfg := kafka.Config{Servers: b.ListenAddrs(), GroupID: "g", SecurityProtocol: "PLAINTEXT"}
	join := func() *kafka.Member {
		member, err := kafka.Join(cfg, 6*time.Second, []string{"logs"})
		require.NoError(t, err)
		t.Cleanup(member.Client.Close)
		return member
	}
	first := join()
	m.of.Store(first)
	require.Eventually(t, func() bool { return first.Holds("logs") != 0 }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, m.read(t.Context(), first, "g"))
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP ingest_group_members Members of the consumer group. Each consumer shows them all: take the maximum.
# TYPE ingest_group_members gauge
ingest_group_members 1
# HELP ingest_group_state 1 for the state that the consumer group is in, else 0: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead.
# TYPE ingest_group_state gauge
ingest_group_state{state="CompletingRebalance"} 0
ingest_group_state{state="Dead"} 0
ingest_group_state{state="Empty"} 0
ingest_group_state{state="PreparingRebalance"} 0
ingest_group_state{state="Stable"} 1
`), "ingest_group_members", "ingest_group_state"))
	was, at := first.Rebalances()
	require.Positive(t, was)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	join()
	require.Eventually(t, func() bool {
		require.NoError(t, m.read(t.Context(), first, "g"))
		now, _ := first.Rebalances()
		return now > was && testutil.CollectAndCompare(m.members, strings.NewReader(`
# HELP ingest_group_members Members of the consumer group. Each consumer shows them all: take the maximum.
# TYPE ingest_group_members gauge
ingest_group_members 2
`)) == nil
	}, 20*time.Second, 50*time.Millisecond)
}

func TestRetentionIsTheTopicsOwnOrForEver(t *testing.T) {
	b := kafkatest.New(t, 1, []string{"logs"}, kfake.NumBrokers(1))
	m, err := kafka.Join(kafka.Config{Servers: b.ListenAddrs(), GroupID: "g", SecurityProtocol: "PLAINTEXT"}, 6*time.Second, []string{"logs"})
	require.NoError(t, err)
	t.Cleanup(m.Client.Close)
	set := func(key, value string) {
		_, err := kadm.NewClient(m.Client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, "logs")
		require.NoError(t, err)
	}
	for _, c := range []struct {
		ms, bytes     string
		seconds, size float64
	}{{"86400000", "-1", 86400, math.Inf(1)}, {"-1", "1073741824", math.Inf(1), 1 << 30}} {
		set("retention.ms", c.ms)
		set("retention.bytes", c.bytes)
		require.Eventually(t, func() bool {
			seconds, size, err := kafka.Retention(t.Context(), m.Client, "logs")
			require.NoError(t, err)
			return seconds == c.seconds && size == c.size
		}, 20*time.Second, 50*time.Millisecond)
	}
	_, _, err = kafka.Retention(t.Context(), m.Client, "none")
	require.Error(t, err)
}
