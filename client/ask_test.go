package client

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/record"
	"github.com/ai-backlog/ingest/settings"
)

func TestTheFirstRecordMayBeAsLargeAsTheTopicTakesOnceKafkaWasAsked(t *testing.T) {
	addrs := brokers(t).ListenAddrs()
	admin, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	defer admin.Close()
	limit := "4000000"
	_, err = kadm.NewClient(admin).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, topics.Logs)
	require.NoError(t, err)

	c := open(t, onlyKafka(addrs))
	large := Log{Level: "INFO", Message: strings.Repeat("x", 3_900_000)}
	var refused *TooLargeError
	require.ErrorAs(t, c.StoreLog(t.Context(), large), &refused)
	require.NoError(t, c.Ask(within(t, 20*time.Second), record.Log))
	require.Equal(t, 4_000_000, c.Limit(record.Log))
	require.NoError(t, c.StoreLog(t.Context(), large))
	require.NoError(t, c.Flush(within(t, 20*time.Second)))
}

func TestAskTellsWhatIsWrong(t *testing.T) {
	t.Run("no topic", func(t *testing.T) {
		cfg := onlyKafka(brokers(t).ListenAddrs())
		cfg.Topics = settings.Topics{Logs: "nowhere"}
		require.ErrorIs(t, open(t, cfg).Ask(within(t, 20*time.Second), record.Log), kerr.UnknownTopicOrPartition)
	})
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		c := open(t, onlyKafka([]string{l.Addr().String()}))
		require.Error(t, c.Ask(within(t, 500*time.Millisecond), record.Log))
		why, _ := c.Problems()
		require.ErrorContains(t, why, "connection refused")
	})
	t.Run("nobody answers", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		c := open(t, onlyKafka([]string{l.Addr().String()}))
		require.ErrorIs(t, c.Ask(within(t, 500*time.Millisecond), record.Log), context.DeadlineExceeded)
		why, _ := c.Problems()
		require.NoError(t, why)
	})
	t.Run("each connection is closed", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 1<<10))
				_ = conn.Close()
			}
		}()
		c := open(t, onlyKafka([]string{l.Addr().String()}))
		require.Error(t, c.Ask(within(t, time.Second), record.Log))
		why, _ := c.Problems()
		require.ErrorContains(t, why, "check KAFKA_SECURITY_PROTOCOL")
	})
}
