package client

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
	"github.com/ai-backlog/ingest/schema"
	"github.com/ai-backlog/ingest/settings"
)

var topics = settings.Topics{Logs: record.Log.Topic(), Metrics: record.Metric.Topic(), Events: record.Event.Topic()}

// brokers is a cluster of one broker with the three topics, until the test ends.
func brokers(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(4, topics.Names()...)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// onlyKafka is the configuration of a client that has no other way.
func onlyKafka(addrs []string) Config {
	return Config{Kafka: kafka.Config{Servers: addrs}, FallbackAfter: -1, Logger: slog.New(slog.DiscardHandler)}
}

// bothWays is a configuration with tables of the test's own.
func bothWays(t testing.TB, addrs []string) (Config, driver.Conn) {
	t.Helper()
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	return Config{Kafka: kafka.Config{Servers: addrs}, ClickHouse: cfg, FallbackAfter: time.Second, Logger: slog.New(slog.DiscardHandler)}, conn
}

// open is a client that the test closes, or that ends with it.
func open(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = c.Close(ctx)
	})
	return c
}

// within bounds a wait of the test.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// inKafka is the values of all records of the topic.
func inKafka(t testing.TB, addrs []string, topic string, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	require.NoError(t, err)
	defer cl.Close()
	ctx := within(t, 20*time.Second)
	var out []*kgo.Record
	for len(out) < n {
		f := cl.PollFetches(ctx)
		require.NoError(t, f.Err())
		out = append(out, f.Records()...)
	}
	return out
}
