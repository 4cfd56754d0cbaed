package integration

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// servers is a rig without programs.
func servers(t *testing.T) (context.Context, *rig.Rig) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	r, err := rig.Start(ctx, rig.Options{Dir: t.TempDir(), Log: os.Stderr})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return ctx, r
}

// nobody is host and port where nothing listens.
func nobody(t *testing.T) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	require.NoError(t, err)
	require.NoError(t, l.Close())
	host, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return host, port
}

// secret is a password that no output may have.
const secret = "hunter2-never-shown"

// complaints are the lines that are not the ordinary story.
func complaints(log string) []string {
	var out []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "level=INFO") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func TestAProgramThatCannotGoOnSaysWhyInOneLineAndExits(t *testing.T) {
	ctx, r := servers(t)
	host, port := nobody(t)
	require.NoError(t, r.DB.Exec(ctx, "CREATE DATABASE other"))
	require.NoError(t, r.DB.Exec(ctx, "CREATE TABLE other.logs (timestamp DateTime, message String) ENGINE = MergeTree ORDER BY timestamp"))
	for name, c := range map[string]struct {
		program string
		env     []string
		args    []string
		want    []string // in the one line
	}{
		"worker: unknown value":          {"worker", []string{"KAFKA_SECURITY_PROTOCOL=TLS"}, nil, []string{"KAFKA_SECURITY_PROTOCOL", `"TLS"`, "SASL_SSL"}},
		"consumer: unknown value":        {"consumer", []string{"KAFKA_AUTO_OFFSET_RESET=never"}, nil, []string{"KAFKA_AUTO_OFFSET_RESET", `"never"`, "earliest"}},
		"starter: unknown value":         {"starter", []string{"KAFKA_SECURITY_PROTOCOL=TLS"}, []string{"send", "-"}, []string{"KAFKA_SECURITY_PROTOCOL"}},
		"worker: wrong password":         {"worker", []string{"CLICKHOUSE_USER=nobody", "CLICKHOUSE_PASSWORD=" + secret}, nil, []string{"nobody", "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"}},
		"worker: a table of its own":     {"worker", []string{"CLICKHOUSE_DATABASE=other"}, nil, []string{"database other", "table logs has no column level", "ALTER TABLE", "CLICKHOUSE_DATABASE"}},
		"worker: unknown namespace":      {"worker", []string{"TEMPORAL_NAMESPACE=nowhere"}, nil, []string{"nowhere", "TEMPORAL_NAMESPACE"}},
		"consumer: unknown namespace":    {"consumer", []string{"TEMPORAL_NAMESPACE=nowhere"}, nil, []string{"nowhere", "TEMPORAL_NAMESPACE"}},
		"starter: Kafka out of reach":    {"starter", []string{"KAFKA_SERVERS=" + host + ":" + port}, []string{"send", "--timeout", "2s", "-"}, []string{"KAFKA_SERVERS", port}},
		"starter: Temporal out of reach": {"starter", []string{"TEMPORAL_ADDRESS=" + host + ":" + port}, []string{"batches"}, []string{"TEMPORAL_ADDRESS", port}},
		"starter: missing topic":         {"starter", nil, []string{"send", "--topic", "nowhere", "-"}, []string{"topic nowhere", "--create --topic nowhere"}},
		"worker: taken port":             {"worker", []string{"METRICS_ADDR=" + r.Kafka.Addr()}, nil, []string{"METRICS_ADDR"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := r.Launch(c.program, c.env, c.args...)
			require.NoError(t, err)
			code, err := p.Wait(ctx)
			require.NoError(t, err, p.Log())
			require.Positive(t, code, p.Log())
			lines := complaints(p.Log())
			require.Len(t, lines, 1, p.Log())
			for _, w := range c.want {
				require.Contains(t, lines[0], w)
			}
			require.NotContains(t, p.Log(), secret)
		})
	}
	var columns uint64
	require.NoError(t, r.DB.QueryRow(ctx, "SELECT count() FROM system.columns WHERE database = 'other' AND table = 'logs'").Scan(&columns))
	require.EqualValues(t, 2, columns, "the table was altered")
}

func TestAProgramThatCanWaitSaysForWhatAndGoesOnWhenItIsThere(t *testing.T) {
	ctx, r := servers(t)
	for name, c := range map[string]struct {
		program string
		server  interface {
			Kill() error
			Start(ctx context.Context) error
			Addr() string
		}
		variable, ready string
	}{
		"worker without ClickHouse": {"worker", r.ClickHouse, "CLICKHOUSE_HOST", "worker is ready"},
		"worker without Kafka":      {"worker", r.Kafka, "KAFKA_SERVERS", "worker is ready"},
		"worker without Temporal":   {"worker", r.Temporal, "TEMPORAL_ADDRESS", "worker is ready"},
		"consumer without Kafka":    {"consumer", r.Kafka, "KAFKA_SERVERS", "consumer is ready"},
		"consumer without Temporal": {"consumer", r.Temporal, "TEMPORAL_ADDRESS", "consumer is ready"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, c.server.Kill())
			p, err := r.Launch(c.program, nil)
			require.NoError(t, err)
			require.NoError(t, r.AwaitLog(ctx, p, c.variable))
			require.Contains(t, p.Log(), c.server.Addr())
			require.True(t, p.Alive())
			require.NotContains(t, p.Log(), c.ready)
			require.NoError(t, c.server.Start(ctx))
			if c.program == "consumer" { // which waits for the search attributes that a worker registers
				w, err := r.Worker()
				require.NoError(t, err)
				defer w.Kill()
			}
			require.NoError(t, r.AwaitLog(ctx, p, c.ready))
			require.LessOrEqual(t, len(complaints(p.Log())), 4, p.Log())
			p.Stop()
		})
	}
}

func TestAMissingTopicHoldsUpNoOther(t *testing.T) {
	ctx, r := servers(t)
	_, err := r.Worker("TOPIC_EVENTS=not_there")
	require.NoError(t, err)
	consumer, err := r.Consumer("TOPIC_EVENTS=not_there", "BATCH_LINGER=300ms")
	require.NoError(t, err)
	require.NoError(t, r.AwaitLog(ctx, consumer, "topic=not_there"))
	line := ""
	for _, l := range complaints(consumer.Log()) {
		if strings.Contains(l, "not_there") {
			line = l
		}
	}
	require.Contains(t, line, "create it", consumer.Log())
	var sent rig.Sent
	require.NoError(t, r.Produce(ctx, load.New(1, load.Mix{Metrics: 0.5}), 2000, &sent, nil))
	require.NoError(t, r.Drain(ctx, &sent))
}

func TestAMissingTableBlocksAndLosesNothing(t *testing.T) {
	s := newScene(t)
	s.send(2000)
	s.exact()
	require.NoError(t, s.DB.Exec(s.ctx, "DROP TABLE metrics SYNC"))
	gone := s.sent.Good.Load() + s.sent.Broken.Load()
	s.send(2000)
	require.NoError(t, s.Until(s.ctx, "wait for a blocked batch", func(ctx context.Context) (bool, string) {
		p, err := s.Starter("batches", "--state", "blocked")
		if err != nil {
			return false, err.Error()
		}
		_, err = p.Wait(ctx)
		return err == nil && strings.Contains(p.Log(), "UNKNOWN_TABLE"), p.Log()
	}))
	require.NoError(t, s.Until(s.ctx, "the other topics go on", func(ctx context.Context) (bool, string) {
		var rows uint64
		err := s.DB.QueryRow(ctx, "SELECT count() FROM logs").Scan(&rows)
		return err == nil && int64(rows) > gone, ""
	}))
	s.worker.Kill()
	require.NoError(t, s.worker.Restart()) // which makes the table again
	require.NoError(t, s.Settled(s.ctx))
	// What the operator dropped with the table is gone until it is asked for: all from offset 0 on, once.
	s.consumer.Stop()
	s.reset()
	require.NoError(t, s.consumer.Restart())
	s.exact()
}
