package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/schema"
)

// tables is a database of this test's own, and the environment pointed at it.
func tables(t *testing.T) driver.Conn {
	t.Helper()
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	for k, v := range map[string]string{
		"CLICKHOUSE_HOST": cfg.Hosts[0], "CLICKHOUSE_PORT": strconv.Itoa(cfg.Port), "CLICKHOUSE_DATABASE": cfg.Database, "CLICKHOUSE_USER": cfg.User, "FALLBACK_AFTER": "1s",
	} {
		t.Setenv(k, v)
	}
	return conn
}

// nowhere points the environment at a Kafka that nobody is.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port that nothing listens on
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Setenv("KAFKA_SERVERS", l.Addr().String())
	return l.Addr().String()
}

// direct counts the rows of the log's lines that came straight, of the offset.
func direct(t *testing.T, conn driver.Conn, offset int64) map[string]int {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT message FROM logs WHERE _topic = ? AND _partition = -1 AND _offset = ?", topic, offset)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	got := map[string]int{}
	for rows.Next() {
		var m string
		require.NoError(t, rows.Scan(&m))
		got[m]++
	}
	require.NoError(t, rows.Err())
	return got
}

// piped is a command that reads what the test writes.
type piped struct {
	t    *testing.T
	feed net.Conn
	log  chan string // its lines
	done chan error
	stop context.CancelFunc // as ctrl-C does
	out  bytes.Buffer
}

func startPiped(t *testing.T, args ...string) *piped {
	t.Helper()
	in, feed := net.Pipe()
	t.Cleanup(func() { _ = in.Close() })
	log, told := io.Pipe()
	p := &piped{t: t, feed: feed, log: make(chan string, 100), done: make(chan error, 1)}
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			p.log <- lines.Text()
		}
	}()
	cmd := newRoot()
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(&p.out)
	cmd.SetErr(told)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	p.stop = stop
	go func() {
		p.done <- cmd.ExecuteContext(ctx)
		_ = told.Close()
	}()
	return p
}

// lines writes numbered lines, and answers how many times each should be found.
func (p *piped) lines(from, to int) map[string]int {
	p.t.Helper()
	want := map[string]int{}
	for i := from; i < to; i++ {
		l := fmt.Sprintf("line %d", i)
		_, err := p.feed.Write([]byte(l + "\n"))
		require.NoError(p.t, err)
		want[l] = 1
	}
	return want
}

func (p *piped) end() error {
	p.t.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(60 * time.Second):
		return errors.New("it waits for ever")
	}
}

// inKafka counts the messages of n records.
func inKafka(t *testing.T, c *kfake.Cluster, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for _, r := range consume(t, c, topic, n) {
		got[decode(t, r).Message]++
	}
	return got
}

func TestWithKafkaAwayEveryLineGoesStraightToClickHouseOnce(t *testing.T) {
	conn := tables(t)
	nowhere(t)
	var lines []string
	want := map[string]int{}
	for i := range 3000 {
		lines = append(lines, "line "+strconv.Itoa(i))
		want[lines[i]] = 1
	}
	out, log, err := starter(t, "", "send", "--fallback", write(t, strings.Join(lines, "\n")+"\n\n"))
	require.NoError(t, err)
	require.Equal(t, "sent 0, skipped 1, replaced 0, refused 0, straight to ClickHouse 3000\n", out)
	require.Equal(t, 1, strings.Count(log, "kafka does not answer: records go straight to clickhouse"), log)
	require.Equal(t, want, direct(t, conn, 0))
}

func TestWhenKafkaGoesAwayInTheMiddleEveryLineIsInOnePlaceOnce(t *testing.T) {
	conn := tables(t)
	c := broker(t)
	p := startPiped(t, "send", "--fallback", "--timeout", "5s", "-")
	first := p.lines(0, 500)
	require.Equal(t, first, inKafka(t, c, 500))
	c.Close()
	caught := p.lines(500, 600) // some of these may have been sent
	require.Contains(t, <-p.log, "kafka does not answer: records go straight to clickhouse")
	rest := p.lines(600, 1600)
	require.NoError(t, p.feed.Close())
	require.NoError(t, p.end())
	sure, marked := direct(t, conn, 0), direct(t, conn, 1)
	require.Contains(t, p.out.String(), fmt.Sprintf("sent 500, skipped 0, replaced 0, refused 0, straight to ClickHouse %d", len(sure)))
	for m := range rest {
		require.Equal(t, 1, sure[m], m)
		delete(sure, m)
	}
	for m, n := range sure {
		marked[m] += n
	}
	require.Equal(t, caught, marked)
}

func TestWhatKafkaMayHaveIsStoredMarkedInTheEnd(t *testing.T) {
	conn := tables(t)
	c := broker(t)
	p := startPiped(t, "send", "--fallback", "--timeout", "3s", "-")
	p.lines(0, 10)
	inKafka(t, c, 10)
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, kerr.NotLeaderForPartition, true // and never an answer
	})
	rest := p.lines(10, 20)
	require.NoError(t, p.feed.Close())
	require.NoError(t, p.end(), "every line is stored")
	sure, marked := direct(t, conn, 0), direct(t, conn, 1)
	require.NotEmpty(t, marked)
	require.Equal(t, fmt.Sprintf("sent 10, skipped 0, replaced 0, refused 0, straight to ClickHouse %d, stored marked %d (Kafka may have them too: starter audit resolves that)\n", len(sure), len(marked)), p.out.String())
	for m, n := range marked {
		sure[m] += n
	}
	require.Equal(t, rest, sure)
}

func TestWithBothAwaySendGivesUpAndNamesBoth(t *testing.T) {
	tables(t)
	addr := nowhere(t)
	t.Setenv("CLICKHOUSE_HOST", "127.0.0.1")
	t.Setenv("CLICKHOUSE_PORT", "1")
	out, _, err := starter(t, "one\ntwo\n", "send", "--fallback", "--timeout", "2s", "-")
	require.ErrorContains(t, err, "no answer from Kafka at KAFKA_SERVERS="+addr+" within 2s")
	require.ErrorContains(t, err, "ClickHouse at CLICKHOUSE_HOST=127.0.0.1")
	require.ErrorContains(t, err, "0 records were acknowledged, 2 were not")
	require.NotContains(t, err.Error(), "\n")
	require.Equal(t, "sent 0, skipped 0, replaced 0, refused 0, straight to ClickHouse 0\n", out)
}

func TestWhatIsNoRowWaitsForKafka(t *testing.T) {
	conn := tables(t)
	nowhere(t)
	lines := `{"timestamp":1,"level":"INFO","message":"has one","event_id":"019b7c5e-2f0e-7c41-8a6b-3d2e1f0c9b8a"}
{"timestamp":1,"level":"INFO","message":"has none"}
not a record
`
	out, _, err := starter(t, lines, "send", "--ndjson", "--fallback", "--timeout", "3s", "-")
	require.ErrorContains(t, err, "1 records were acknowledged, 2 were not")
	require.Equal(t, "sent 0, skipped 0, replaced 0, refused 0, straight to ClickHouse 1\n", out)
	require.Equal(t, map[string]int{"has one": 1}, direct(t, conn, 0))
}

func TestFallbackIsNoWayRoundWhatKafkaRefuses(t *testing.T) {
	tables(t)
	broker(t)
	_, _, err := starter(t, "x", "send", "--fallback", "--topic", "nowhere", "-")
	require.ErrorContains(t, err, "topic nowhere does not exist at KAFKA_SERVERS=")
	require.ErrorContains(t, err, "nothing was sent")
	t.Setenv("FALLBACK_AFTER", "-1s")
	_, _, err = starter(t, "x", "send", "--fallback", "-")
	require.ErrorContains(t, err, "FALLBACK_AFTER is -1s")
}

func TestWithoutFallbackOnlyKafkaIsAskedFor(t *testing.T) {
	c := broker(t)
	t.Setenv("FALLBACK_AFTER", "0s")
	t.Setenv("CLICKHOUSE_COMPRESSION", "zip")
	out, _, err := starter(t, "x", "send", "-")
	require.NoError(t, err)
	require.Equal(t, "sent 1, skipped 0, replaced 0, refused 0\n", out)
	require.Equal(t, "-", string(consume(t, c, topic, 1)[0].Key))
}

func TestSendEndsAtOnceWhenKafkaRefusesAllRecords(t *testing.T) {
	c := broker(t)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return refuseAll(req.(*kmsg.ProduceRequest), kerr.TopicAuthorizationFailed.Code), nil, true
	})
	began := time.Now()
	_, _, err := starter(t, "x", "send", "--timeout", "1m", "-")
	require.ErrorContains(t, err, "send to topic "+topic+" at KAFKA_SERVERS=")
	require.ErrorContains(t, err, "TOPIC_AUTHORIZATION_FAILED")
	require.ErrorContains(t, err, "0 records were acknowledged, 1 were not")
	require.Less(t, time.Since(began), 20*time.Second)
}

func TestAfterCtrlCWhatWasReadIsSent(t *testing.T) {
	c := broker(t)
	seen, answer := make(chan struct{}), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(seen)
		<-answer
		return nil, nil, false // and it is carried out
	})
	p := startPiped(t, "send", "-")
	p.lines(0, 1)
	<-seen
	p.stop()
	close(answer)
	require.ErrorContains(t, p.end(), "interrupted; 1 records were acknowledged, 0 were not")
	require.Len(t, inKafka(t, c, 1), 1)
}

func TestALineThatOnlyTheBrokerFindsTooLargeIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a line":   {nil, "- line 2 (8 bytes): refused: record of "},
		"a record": {[]string{"--ndjson"}, `a line that begins with "the line" (8 bytes): refused: record of `},
	} {
		t.Run(name, func(t *testing.T) {
			k := broker(t)
			k.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				return refuseAll(req.(*kmsg.ProduceRequest), kerr.MessageTooLarge.Code), nil, true
			})
			out, log, err := starter(t, "\nthe line\n", append([]string{"send", "-"}, c.args...)...)
			require.ErrorContains(t, err, "1 lines are too large for topic "+topic)
			require.Equal(t, "sent 0, skipped 1, replaced 0, refused 1\n", out)
			require.Contains(t, log, c.want)
		})
	}
}

// refuseAll answers every partition of the request with the code.
func refuseAll(req *kmsg.ProduceRequest, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, rt := range req.Topics {
		out := kmsg.NewProduceResponseTopic()
		out.Topic, out.TopicID = rt.Topic, rt.TopicID
		for _, rp := range rt.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode = rp.Partition, code
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func TestATopicOfAnotherKindHasItsRecords(t *testing.T) {
	c := broker(t)
	event, err := json.Marshal(map[string]any{"timestamp": 1, "type": "x"})
	require.NoError(t, err)
	_, _, err = starter(t, string(event), "send", "--ndjson", "--topic", "ai_backlog_events", "-")
	require.NoError(t, err)
	require.Equal(t, event, consume(t, c, "ai_backlog_events", 1)[0].Value)
	_, _, err = starter(t, "x", "send", "--topic", "a/b", "-")
	require.ErrorContains(t, err, "--topic: TOPIC_LOGS is \"a/b\"")
}
