package integration

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// secret is a password that no output may have. It is the user ingest's.
const secret = "hunter2-never-shown"

// users is a file for ClickHouse's users.d.
const users = `<clickhouse><users><ingest><password>` + secret + `</password><networks><ip>::/0</ip></networks><profile>default</profile>
	<quota>default</quota><access_management>1</access_management></ingest></users></clickhouse>`

// servers is a rig without programs, whose ClickHouse has the user ingest too.
func servers(t *testing.T, env ...string) (context.Context, *rig.Rig) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	dir := t.TempDir()
	usersD := filepath.Join(dir, "clickhouse", "users.d")
	require.NoError(t, os.MkdirAll(usersD, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(usersD, "ingest.xml"), []byte(users), 0o600))
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, Env: env})
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

// tables is everything that the server has of a database.
func tables(ctx context.Context, t *testing.T, r *rig.Rig, database string) (ddl []string) {
	t.Helper()
	require.NoError(t, r.DB.QueryRow(ctx, "SELECT arraySort(groupArray(create_table_query)) FROM system.tables WHERE database = ?", database).Scan(&ddl))
	return ddl
}

func TestAProgramThatCannotGoOnSaysWhyInALineForEachCauseAndExits(t *testing.T) {
	t.Parallel()
	ctx, r := servers(t)
	host, port := nobody(t)
	for _, sql := range []string{
		"CREATE DATABASE other",
		"CREATE TABLE other.logs (timestamp DateTime, message String) ENGINE = MergeTree ORDER BY timestamp",
		"INSERT INTO other.logs VALUES (1, 'kept')",
	} {
		require.NoError(t, r.DB.Exec(ctx, sql))
	}
	before := tables(ctx, t, r, "other")
	type line []string // what it must contain
	for name, c := range map[string]struct {
		program string
		env     []string
		args    []string
		want    []line
	}{
		"worker: unknown value":   {"worker", []string{"KAFKA_SECURITY_PROTOCOL=FOO"}, nil, []line{{"KAFKA_SECURITY_PROTOCOL", `"FOO"`, "SASL_SSL"}}},
		"consumer: unknown value": {"consumer", []string{"KAFKA_AUTO_OFFSET_RESET=never"}, nil, []line{{"KAFKA_AUTO_OFFSET_RESET", `"never"`, "earliest"}}},
		"starter: unknown value":  {"starter", []string{"KAFKA_SECURITY_PROTOCOL=FOO"}, []string{"send", "-"}, []line{{"KAFKA_SECURITY_PROTOCOL", `"FOO"`}}},
		"worker: many at once": {
			"worker",
			[]string{"KAFKA_SECURITY_PROTOCOL=FOO", "WORKER_INSERTS=abc", "CLICKHOUSE_PORT=native", "CLICKHOUSE_COMPRESSION=zip", "TEMPORAL_TLS=yes", "CLICKHOUSE_PASSWORD=" + secret},
			nil,
			[]line{{"CLICKHOUSE_PORT", `"native"`}, {"WORKER_INSERTS", `"abc"`}, {"KAFKA_SECURITY_PROTOCOL"}, {"CLICKHOUSE_COMPRESSION"}, {"TEMPORAL_TLS", "true or false"}},
		},
		"consumer: many at once": {
			"consumer",
			[]string{"BATCH_RECORDS=abc", "KAFKA_SERVERS=broker", "KAFKA_AUTO_OFFSET_RESET=never", "TOPIC_LOGS=a/b", "TEMPORAL_ADDRESS=temporal"},
			nil,
			[]line{{"BATCH_RECORDS", `"abc"`}, {"KAFKA_SERVERS", "host:port"}, {"KAFKA_AUTO_OFFSET_RESET"}, {"TOPIC_LOGS"}, {"TEMPORAL_ADDRESS", "host:port"}},
		},
		"consumer: SASL without a user": {
			"consumer",
			[]string{"KAFKA_SECURITY_PROTOCOL=SASL_SSL", "KAFKA_SASL_MECHANISMS=GSSAPI", "KAFKA_SASL_PASSWORD=" + secret},
			nil,
			[]line{{"KAFKA_SASL_MECHANISMS", "PLAIN"}, {"KAFKA_SASL_USERNAME"}},
		},
		"worker: an argument":            {"worker", nil, []string{"--topic=x"}, []line{{"no arguments", "environment variables"}}},
		"consumer: an argument":          {"consumer", nil, []string{"-h"}, []line{{"no arguments", "environment variables"}}},
		"worker: wrong password":         {"worker", []string{"CLICKHOUSE_USER=ingest", "CLICKHOUSE_PASSWORD=" + secret + "?"}, nil, []line{{"ingest", "check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"}}},
		"worker: unknown user":           {"worker", []string{"CLICKHOUSE_USER=nobody", "CLICKHOUSE_PASSWORD=" + secret}, nil, []line{{"nobody", "check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"}}},
		"worker: a table of its own":     {"worker", []string{"CLICKHOUSE_DATABASE=other"}, nil, []line{{"database other", "table logs has no column level", "ALTER TABLE", "CLICKHOUSE_DATABASE"}}},
		"worker: unknown namespace":      {"worker", []string{"TEMPORAL_NAMESPACE=nowhere"}, nil, []line{{"nowhere", "TEMPORAL_NAMESPACE"}}},
		"consumer: unknown namespace":    {"consumer", []string{"TEMPORAL_NAMESPACE=nowhere"}, nil, []line{{"nowhere", "TEMPORAL_NAMESPACE"}}},
		"worker: taken port":             {"worker", []string{"METRICS_ADDR=" + r.Kafka.Addr()}, nil, []line{{"METRICS_ADDR", "off"}}},
		"consumer: taken port":           {"consumer", []string{"METRICS_ADDR=" + r.Kafka.Addr()}, nil, []line{{"METRICS_ADDR", "off"}}},
		"starter: Kafka out of reach":    {"starter", []string{"KAFKA_SERVERS=" + host + ":" + port}, []string{"send", "--timeout", "2s", "-"}, []line{{"KAFKA_SERVERS", port, "nothing was sent"}}},
		"starter: Temporal out of reach": {"starter", []string{"TEMPORAL_ADDRESS=" + host + ":" + port}, []string{"batches"}, []line{{"TEMPORAL_ADDRESS", port}}},
		"starter: unknown namespace":     {"starter", []string{"TEMPORAL_NAMESPACE=nowhere"}, []string{"batches"}, []line{{"TEMPORAL_NAMESPACE=nowhere"}}},
		"starter: missing topic":         {"starter", nil, []string{"send", "--topic", "nowhere", "-"}, []line{{"topic nowhere", "--create --topic nowhere", "nothing was sent"}}},
		"starter: missing file":          {"starter", nil, []string{"send", "/not/there.log"}, []line{{"/not/there.log", "no such file"}}},
		"starter: mistyped layout":       {"starter", nil, []string{"send", "--time-layout", "YYYY-MM-DD", "-"}, []line{{"--time-layout", "rfc3339"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := r.Launch(c.program, c.env, c.args...)
			require.NoError(t, err)
			quick, cancel := context.WithTimeout(ctx, 15*time.Second)
			defer cancel()
			code, err := p.Wait(quick)
			require.NoError(t, err, p.Log())
			require.Positive(t, code, p.Log())
			got := complaints(p.Log())
			require.Equal(t, len(c.want), len(got), p.Log()) //nolint:testifylint // the log says more than the lines as Go writes them
			for i, l := range c.want {
				for _, w := range l {
					require.Contains(t, got[i], w)
				}
			}
			require.NotContains(t, p.Log(), secret)
		})
	}
	require.Equal(t, before, tables(ctx, t, r, "other"), "the database was altered")
	var kept uint64
	require.NoError(t, r.DB.QueryRow(ctx, "SELECT count() FROM other.logs WHERE message = 'kept'").Scan(&kept))
	require.EqualValues(t, 1, kept)
}

func TestAProgramThatCanWaitSaysForWhatInOneLineAndGoesOnWhenItIsThere(t *testing.T) {
	t.Parallel()
	ctx, r := servers(t)
	for name, c := range map[string]struct {
		program         string
		server          rig.Server
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
			require.Equal(t, 1, strings.Count(p.Log(), "\n"), p.Log())
			require.True(t, p.Alive())
			require.NoError(t, c.server.Start(ctx))
			require.NoError(t, r.AwaitLog(ctx, p, c.ready))
			got := complaints(p.Log())
			require.LessOrEqual(t, len(got), 3, p.Log()) // a server that starts fails in more than one way
			for _, line := range got {
				require.Contains(t, line, c.variable)
			}
			p.Stop()
		})
	}
}

func TestAServerThatAcceptsAndSaysNothingIsNamedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	ctx, r := servers(t)
	for _, s := range []rig.Server{r.Kafka, r.ClickHouse, r.Temporal} {
		require.NoError(t, s.Freeze())
	}
	type program struct {
		*rig.Process
		variable string
	}
	launch := func(variable, name string, args ...string) program {
		p, err := r.Launch(name, []string{"BATCH_LINGER=300ms"}, args...)
		require.NoError(t, err)
		return program{p, variable}
	}
	worker, consumer := launch("CLICKHOUSE_HOST", "worker"), launch("TEMPORAL_ADDRESS", "consumer")
	for _, p := range []program{launch("KAFKA_SERVERS", "starter", "send", "--timeout", "2s", "/dev/null"), launch("TEMPORAL_ADDRESS", "starter", "batches")} {
		code, err := p.Wait(ctx)
		require.NoError(t, err)
		require.Positive(t, code)
		require.Equal(t, 1, strings.Count(p.Log(), "\n"), p.Log())
		require.Contains(t, p.Log(), p.variable)
	}
	for _, p := range []program{worker, consumer} {
		require.NoError(t, r.AwaitLog(ctx, p.Process, p.variable))
	}
	pause(ctx, 12*time.Second) // for tries that have nothing new to tell
	for _, p := range []program{worker, consumer} {
		require.Equal(t, 1, strings.Count(p.Log(), "\n"), p.Log())
	}
	require.NoError(t, r.Kafka.Thaw())
	var sent rig.Sent
	require.NoError(t, r.Produce(ctx, load.New(1, mix), 2000, &sent, nil)) // while nobody is there to plan or store it
	for _, s := range []rig.Server{r.ClickHouse, r.Temporal} {
		require.NoError(t, s.Thaw())
	}
	require.NoError(t, r.Drain(ctx, &sent))
	require.NoError(t, r.Settled(ctx))
	b, err := r.Count(ctx)
	require.NoError(t, err)
	require.NoError(t, b.Exact(&sent))
}

func TestNoOutputHasASecret(t *testing.T) {
	t.Parallel()
	_, r := servers(t, "LOG_LEVEL=debug")
	host, port := nobody(t)
	ingest := []string{"CLICKHOUSE_USER=ingest", "CLICKHOUSE_PASSWORD=" + secret}
	sasl := []string{"KAFKA_SECURITY_PROTOCOL=SASL_SSL", "KAFKA_SASL_MECHANISMS=PLAIN", "KAFKA_SASL_USERNAME=user", "KAFKA_SASL_PASSWORD=" + secret}
	for name, c := range map[string]struct {
		program string
		env     []string
		until   string
	}{
		"worker that works":            {"worker", ingest, "worker is ready"},
		"worker without ClickHouse":    {"worker", append(ingest, "CLICKHOUSE_HOST="+host, "CLICKHOUSE_PORT="+port), "CLICKHOUSE_HOST"},
		"worker that is refused":       {"worker", append(ingest, sasl...), "KAFKA_SERVERS"}, // the stand-in knows neither TLS nor users
		"consumer that is refused":     {"consumer", sasl, "KAFKA_SERVERS"},
		"consumer without Temporal":    {"consumer", []string{"TEMPORAL_API_KEY=" + secret, "TEMPORAL_ADDRESS=" + host + ":" + port}, "TEMPORAL_ADDRESS"},
		"worker with a key of no use":  {"worker", []string{"TEMPORAL_API_KEY=" + secret}, "TEMPORAL_ADDRESS"},
		"consumer with a wrong number": {"consumer", append(sasl, "BATCH_WINDOW=many"), "BATCH_WINDOW"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := r.Launch(c.program, c.env)
			require.NoError(t, err)
			require.Eventually(t, func() bool { return strings.Contains(p.Log(), c.until) }, time.Minute, 50*time.Millisecond)
			p.Kill()
			require.NotContains(t, p.Log(), secret)
		})
	}
}

func TestAConsumerWithoutTemporalLeavesTheTopicsToAnother(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	require.NoError(t, s.AwaitLog(s.ctx, s.consumer, "topic is planned here"))
	s.send(2000)
	host, port := nobody(t)
	second, err := s.Rig.Consumer("TEMPORAL_ADDRESS=" + host + ":" + port)
	require.NoError(t, err)
	require.NoError(t, s.AwaitLog(s.ctx, second, "TEMPORAL_ADDRESS"))
	groups, err := kadm.NewClient(s.Client).DescribeGroups(s.ctx, rig.Group)
	require.NoError(t, err)
	require.Len(t, groups[rig.Group].Members, 1)
	s.send(2000)
	s.exact()
}

func TestAMissingTopicHoldsUpNoOtherAndIsIngestedOnceItIsThere(t *testing.T) {
	t.Parallel()
	ctx, r := servers(t)
	const name = "not_there"
	worker, err := r.Worker("TOPIC_EVENTS=" + name)
	require.NoError(t, err)
	consumer, err := r.Consumer("TOPIC_EVENTS="+name, "BATCH_LINGER=300ms")
	require.NoError(t, err)
	for _, p := range []*rig.Process{worker, consumer} {
		require.NoError(t, r.AwaitLog(ctx, p, "topic="+name))
		got := complaints(p.Log())
		require.Len(t, got, 1, p.Log())
		require.Contains(t, got[0], "create it")
	}
	require.Contains(t, consumer.Log(), "kafka-topics.sh --bootstrap-server "+r.Kafka.Addr()+" --create --topic "+name)
	var sent rig.Sent
	require.NoError(t, r.Produce(ctx, load.New(1, load.Mix{Metrics: 0.5}), 2000, &sent, nil))
	require.NoError(t, r.Drain(ctx, &sent))
	_, err = kadm.NewClient(r.Client).CreateTopic(ctx, 3, 1, nil, name)
	require.NoError(t, err)
	events := load.New(2, load.Mix{Events: 1})
	for range 500 {
		e, _ := events.Next()
		e.Topic = name
		require.NoError(t, r.Client.ProduceSync(ctx, e).FirstErr())
		sent.Good.Add(1)
	}
	require.NoError(t, r.Drain(ctx, &sent))
	require.NoError(t, r.Settled(ctx))
	b, err := r.Count(ctx)
	require.NoError(t, err)
	require.NoError(t, b.Exact(&sent))
}

// offsets is how many records were ever in the topic.
func (s *scene) offsets(topic string) (n int64) {
	s.t.Helper()
	ends, err := kadm.NewClient(s.Client).ListEndOffsets(s.ctx, topic)
	require.NoError(s.t, err)
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// placed is how many of the topic's records have a place.
func (s *scene) placed(topic, table string) int64 {
	s.t.Helper()
	var n uint64
	require.NoError(s.t, s.DB.QueryRow(s.ctx, "SELECT (SELECT count() FROM "+table+") + (SELECT count() FROM dead_letters WHERE _topic = ?)", topic).Scan(&n))
	return int64(n) //nolint:gosec // far below 2^63
}

func TestATableThatIsDroppedOrLosesAColumnBlocksItsTopicAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(2000)
	s.exact()
	before := s.offsets(load.Metrics)
	var dead uint64
	require.NoError(t, s.DB.QueryRow(s.ctx, "SELECT count() FROM dead_letters WHERE _topic = ?", load.Metrics).Scan(&dead))
	for _, sql := range []string{"DROP TABLE metrics SYNC", "ALTER TABLE events DROP INDEX by_task", "ALTER TABLE events DROP COLUMN task_id"} {
		require.NoError(t, s.DB.Exec(s.ctx, sql))
	}
	s.send(2000)
	require.NoError(t, s.Until(s.ctx, "wait for blocked batches", func(ctx context.Context) (bool, string) {
		p, err := s.Starter("batches", "--state", "blocked")
		if err != nil {
			return false, err.Error()
		}
		_, err = p.Wait(ctx)
		return err == nil && strings.Contains(p.Log(), "UNKNOWN_TABLE") && strings.Contains(p.Log(), "NO_SUCH_COLUMN_IN_TABLE"), p.Log()
	}))
	require.NoError(t, s.Until(s.ctx, "the other topic goes on", func(context.Context) (bool, string) {
		return s.placed(load.Logs, "logs") == s.offsets(load.Logs), ""
	}))
	require.NoError(t, s.DB.Exec(s.ctx, "ALTER TABLE events ADD COLUMN task_id String"))
	s.worker.Kill()
	require.NoError(t, s.worker.Restart()) // which makes the table again
	require.NoError(t, s.Settled(s.ctx))
	require.Equal(t, s.offsets(load.Events), s.placed(load.Events, "events"))
	require.Equal(t, s.offsets(load.Metrics)-before+int64(dead), s.placed(load.Metrics, "metrics")) //nolint:gosec // far below 2^63
	// What went with the dropped table comes back when it is asked for: all from offset 0 on, once.
	s.consumer.Stop()
	s.reset()
	require.NoError(t, s.consumer.Restart())
	s.exact()
}
