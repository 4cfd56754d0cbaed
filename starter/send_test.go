package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const topic = "ai_backlog_logs"

// broker starts a Kafka stand-in and points the environment at it.
func broker(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topic, "ai_backlog_events"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	t.Setenv("KAFKA_SERVERS", strings.Join(c.ListenAddrs(), ","))
	return c
}

// starter runs the command and answers what it printed.
func starter(t *testing.T, stdin string, args ...string) (out, log string, err error) {
	t.Helper()
	var o, l bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&o)
	cmd.SetErr(&l)
	err = cmd.ExecuteContext(t.Context())
	return o.String(), l.String(), err
}

// consume reads n records of the topic.
func consume(t *testing.T, c *kfake.Cluster, topic string, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err0())
		records = append(records, fetches.Records()...)
	}
	require.Len(t, records, n)
	return records
}

type sent struct {
	Timestamp  time.Time
	Level      string
	Message    string
	EventID    uuid.UUID `json:"event_id"`
	Service    string
	AgentID    string `json:"agent_id"`
	Attributes map[string]any
}

func decode(t *testing.T, r *kgo.Record) (s sent) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.Value, &s), "%s", r.Value)
	return s
}

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.log")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func TestSendLinesAsRecords(t *testing.T) {
	c := broker(t)
	file := write(t, "2026-01-02T03:04:05.678Z ERROR \"quoted\" \\ <&> \t\u2028 ü\r\n\r\n\nbad \xff\xfe bytes\nlast without newline\r")
	out, log, err := starter(t, "", "send", "--service", "shop", "--agent-id", "a-7", "--level", "DEBUG", "--time-layout", "rfc3339", file)
	require.NoError(t, err)
	require.Equal(t, "sent 3, skipped 2, replaced 1, refused 0, without a time 2\n", out)
	require.Empty(t, log)

	records := consume(t, c, topic, 3)
	ids := map[uuid.UUID]bool{}
	var got []sent
	for _, r := range records {
		require.Equal(t, "a-7", string(r.Key))
		require.Equal(t, records[0].Partition, r.Partition, "one agent, one partition: its order is kept")
		s := decode(t, r)
		require.EqualValues(t, 7, s.EventID.Version())
		require.Equal(t, "shop", s.Service)
		require.Equal(t, "a-7", s.AgentID)
		require.Equal(t, file, s.Attributes["file"])
		ids[s.EventID] = true
		got = append(got, s)
	}
	require.Len(t, ids, 3)
	require.Equal(t, "2026-01-02T03:04:05.678Z ERROR \"quoted\" \\ <&> \t\u2028 ü", got[0].Message)
	require.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), got[0].Timestamp)
	require.Equal(t, "ERROR", got[0].Level)
	require.Equal(t, "bad \uFFFD bytes", got[1].Message)
	require.Equal(t, map[string]any{"file": file, "line": 4.0, "invalid_utf8": true}, got[1].Attributes)
	require.Equal(t, "DEBUG", got[1].Level)
	require.WithinDuration(t, time.Now(), got[1].Timestamp, time.Minute)
	require.Equal(t, "last without newline\r", got[2].Message)
}

func TestSendRealLogsByteForByte(t *testing.T) {
	for _, name := range []string{"Apache.log", "HDFS.log", "OpenSSH.log", "OpenStack.log", "Spark.log", "Zookeeper.log"} {
		t.Run(name, func(t *testing.T) {
			file := loghub(t, name)
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			want, _ := readLines(t, bytes.NewReader(content), 1<<20)
			c := broker(t)
			out, _, err := starter(t, "", "send", file)
			require.NoError(t, err)
			require.Equal(t, "sent 2000, skipped 0, replaced 0, refused 0\n", out)
			var got []string
			for _, r := range consume(t, c, topic, len(want)) {
				got = append(got, decode(t, r).Message)
			}
			require.Equal(t, want, got)
		})
	}
}

func TestSendNDJSONAsItIs(t *testing.T) {
	c := broker(t)
	lines := []string{`{"timestamp":1, "type":"x"}`, `not json at all`, "\xff", ` `}
	out, _, err := starter(t, strings.Join(lines, "\r\n")+"\n\n", "send", "--kind", "event", "-")
	require.NoError(t, err)
	require.Equal(t, "sent 4, skipped 1, replaced 0, refused 0\n", out)
	var got []string
	for _, r := range consume(t, c, "ai_backlog_events", len(lines)) {
		got = append(got, string(r.Value))
	}
	require.Equal(t, lines, got)

	out, _, err = starter(t, lines[0], "send", "--json", "-")
	require.NoError(t, err)
	require.Equal(t, "sent 1, skipped 0, replaced 0, refused 0\n", out)
	require.Equal(t, lines[0], string(consume(t, c, topic, 1)[0].Value))
}

func TestSendRefusesOnlyTheLineThatIsTooLarge(t *testing.T) {
	for name, limit := range map[string]string{"usual": "1048588", "small": "20000", "large": "4000000"} {
		t.Run(name, func(t *testing.T) {
			c := broker(t)
			cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
			require.NoError(t, err)
			defer cl.Close()
			_, err = kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, topic)
			require.NoError(t, err)
			n := map[string]int{"usual": 1_100_000, "small": 20_001, "large": 4_000_001}[name]
			fits, escaped := strings.Repeat("y", n*9/10), strings.Repeat("\x01", n*9/10) // six bytes each as JSON
			file := write(t, "first\n"+strings.Repeat("x", n)+"\n"+fits+"\n"+escaped+"\nlast\n")
			out, log, err := starter(t, "", "send", file)
			require.ErrorContains(t, err, "2 lines are too large for topic "+topic)
			require.Equal(t, "sent 3, skipped 0, replaced 0, refused 2\n", out)
			require.Contains(t, log, "line 2 ("+strconv.Itoa(n)+" bytes): refused: record of "+strconv.Itoa(n)+" bytes is too large: topic "+topic+" takes "+limit+" bytes, its key included")
			require.Contains(t, log, "line 4 ("+strconv.Itoa(n*9/10)+" bytes): refused")
			var got []string
			for _, r := range consume(t, c, topic, 3) {
				got = append(got, decode(t, r).Message)
			}
			require.Equal(t, []string{"first", fits, "last"}, got)
		})
	}
}

func TestSendTellsThatTheTopicIsMissing(t *testing.T) {
	broker(t)
	out, _, err := starter(t, "x", "send", "--topic", "nowhere", "-")
	require.ErrorContains(t, err, "topic nowhere does not exist at KAFKA_SERVERS=")
	require.ErrorContains(t, err, "--create --topic nowhere")
	require.Empty(t, out)
}

func TestSendGivesUpWhenKafkaIsAway(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port that nothing listens on
		require.NoError(t, err)
		require.NoError(t, l.Close())
		t.Setenv("KAFKA_SERVERS", l.Addr().String())
		_, _, err = starter(t, "x", "send", "--timeout", "1s", "-")
		require.ErrorContains(t, err, "no answer from Kafka at KAFKA_SERVERS="+l.Addr().String()+" within 1s")
		require.ErrorContains(t, err, "connection refused")
		require.ErrorContains(t, err, "nothing was sent")
		require.NotContains(t, err.Error(), "\n")
	})
	t.Run("a server that accepts and says nothing", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // the system accepts, nobody answers
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		t.Setenv("KAFKA_SERVERS", l.Addr().String())
		began := time.Now()
		_, _, err = starter(t, "x", "send", "--timeout", "1s", "-")
		require.ErrorContains(t, err, "no answer from Kafka at KAFKA_SERVERS="+l.Addr().String()+" within 1s")
		require.Less(t, time.Since(began), 5*time.Second)
	})
	t.Run("in the middle", func(t *testing.T) {
		c := broker(t)
		in, feed := net.Pipe()
		defer func() { require.NoError(t, in.Close()) }()
		done := make(chan error, 1)
		var out bytes.Buffer
		go func() {
			cmd := newRoot()
			cmd.SetArgs([]string{"send", "--timeout", "1s", "-"})
			cmd.SetIn(in)
			cmd.SetOut(&out)
			done <- cmd.ExecuteContext(t.Context())
		}()
		_, err := feed.Write([]byte("one\ntwo\n"))
		require.NoError(t, err)
		consume(t, c, topic, 2)
		c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			return nil, kerr.NotLeaderForPartition, true // and never an answer
		})
		_, err = feed.Write([]byte("three\n"))
		require.NoError(t, err)
		select {
		case err = <-done:
		case <-time.After(20 * time.Second):
			require.FailNow(t, "it waits for ever")
		}
		require.ErrorContains(t, err, "no answer from Kafka at KAFKA_SERVERS=")
		require.ErrorContains(t, err, "2 records were acknowledged, 1 were not")
		require.Equal(t, "sent 2, skipped 0, replaced 0, refused 0\n", out.String())
	})
}

func TestSendTellsThatTheLoginIsRefused(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic), kfake.EnableSASL(), kfake.Superuser("PLAIN", "user", "right"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) { // kfake itself hangs up
		c.KeepControl()
		refused := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		refused.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return refused, nil, true
	})
	const password = "hunter2-never-shown"
	for k, v := range map[string]string{
		"KAFKA_SERVERS": c.ListenAddrs()[0], "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISMS": "PLAIN",
		"KAFKA_SASL_USERNAME": "user", "KAFKA_SASL_PASSWORD": password,
	} {
		t.Setenv(k, v)
	}
	_, _, err = starter(t, "x", "send", "-")
	require.ErrorContains(t, err, "SASL_AUTHENTICATION_FAILED")
	require.ErrorContains(t, err, "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
	require.ErrorContains(t, err, "nothing was sent")
	require.NotContains(t, err.Error(), password)
	require.NotContains(t, err.Error(), "\n")
}

func TestSendChecksFilesBeforeItSends(t *testing.T) {
	c := broker(t)
	_, _, err := starter(t, "", "send", write(t, "x\n"), filepath.Join(t.TempDir(), "absent"), t.TempDir())
	require.ErrorContains(t, err, "absent: no such file")
	require.ErrorContains(t, err, "is a directory")
	_, _, err = starter(t, "now", "send", "-")
	require.NoError(t, err)
	require.Equal(t, "now", decode(t, consume(t, c, topic, 1)[0]).Message)
}
