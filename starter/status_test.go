package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	taskqueue "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/frontend/frontendtest"
	"github.com/ai-backlog/ingest/workflows"
)

// program answers /metrics with its texts in turn, and with the last one from then on. Its address is answered.
func program(t *testing.T, texts ...string) string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprint(w, texts[min(int(n.Add(1)), len(texts))-1])
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// between is what the programs said in two readings, ten seconds apart.
func between(t *testing.T, addresses ...string) span {
	t.Helper()
	s := span{from: readMetrics(t.Context(), addresses), to: readMetrics(t.Context(), addresses)}
	s.to.at = s.from.at.Add(10 * time.Second)
	return s
}

const planning = `# HELP ingest_planner 1 if this consumer plans the topic.
# TYPE ingest_planner gauge
ingest_planner{topic="logs"} 1
ingest_planner{topic="events"} 0
# TYPE ingest_completed_offsets_total counter
ingest_completed_offsets_total{place="dead_letters",topic="logs"} %[1]d
ingest_completed_offsets_total{place="stored",topic="logs"} %[1]d
ingest_completed_offsets_total{place="present",topic="logs"} 5
ingest_completed_offsets_total{place="stored",topic="events"} 0
# TYPE ingest_log_end_offset gauge
ingest_log_end_offset{partition="0",topic="logs"} %[2]d
ingest_log_end_offset{partition="1",topic="logs"} 1000
# TYPE ingest_lag_offsets gauge
ingest_lag_offsets{partition="0",topic="logs"} 30
ingest_lag_offsets{partition="1",topic="logs"} 12
# TYPE ingest_lag_seconds gauge
ingest_lag_seconds{partition="0",topic="logs"} 1.5
ingest_lag_seconds{partition="1",topic="logs"} 0
# TYPE go_goroutines gauge
go_goroutines 12
`

const working = `# TYPE ingest_dead_letters_total counter
ingest_dead_letters_total{reason="bad_time",topic="logs"} 2
ingest_dead_letters_total{reason="empty",topic="logs"} 1
# TYPE ingest_stored_rows_total counter
ingest_stored_rows_total{topic="logs"} %[1]d
# TYPE ingest_freshness_seconds histogram
ingest_freshness_seconds_bucket{topic="logs",le="0.5"} 0
ingest_freshness_seconds_bucket{topic="logs",le="1"} %[2]d
ingest_freshness_seconds_bucket{topic="logs",le="2"} %[3]d
ingest_freshness_seconds_bucket{topic="logs",le="+Inf"} %[3]d
ingest_freshness_seconds_sum{topic="logs"} 1
ingest_freshness_seconds_count{topic="logs"} %[3]d
`

func TestATopicsLineIsTheSumOfAllPrograms(t *testing.T) {
	consumer := program(t, fmt.Sprintf(planning, 1000, 9000), fmt.Sprintf(planning, 3000, 29_000))
	first := program(t, fmt.Sprintf(working, 10, 100, 100), fmt.Sprintf(working, 20, 140, 180))
	second := program(t, fmt.Sprintf(working, 500, 1000, 1000), fmt.Sprintf(working, 7, 5, 10)) // was started again meanwhile
	s := between(t, consumer, first, second)
	l := s.topic("logs")
	require.InDelta(t, 2000, *l.Sent, 0.01)
	require.InDelta(t, 200, *l.Stored, 0.01, "not the dead letters")
	require.EqualValues(t, 42, *l.Lag)
	require.InDelta(t, 1.5, *l.LagSeconds, 0.001)
	require.EqualValues(t, 6, *l.DeadLetters)
	require.Equal(t, []string{consumer}, l.Planners)
	require.InDelta(t, 1, *l.P50, 0.001, "45 of 90 were at most a second old")
	require.Greater(t, *l.P99, 1.9)
	require.InDelta(t, 17.0/10, *s.rate("ingest_stored_rows_total", "logs", true, nil), 0.001, "what was started again counts from 0")
}

func TestWhatIsNotKnownIsNotZero(t *testing.T) {
	t.Run("another consumer plans", func(t *testing.T) {
		l := between(t, program(t, fmt.Sprintf(planning, 1, 1))).topic("events")
		require.Equal(t, topicOverview{Topic: "events", Planners: []string{}}, l)
	})
	t.Run("workers tell what is stored where no planner was reached", func(t *testing.T) {
		l := between(t, program(t, fmt.Sprintf(working, 10, 0, 0), fmt.Sprintf(working, 60, 0, 0))).topic("logs")
		require.InDelta(t, 5, *l.Stored, 0.001)
		require.Nil(t, l.Sent)
		require.Nil(t, l.P50, "nothing was stored meanwhile")
	})
	t.Run("a program is reached once only", func(t *testing.T) {
		addr := program(t, fmt.Sprintf(planning, 1, 1))
		s := span{from: reading{at: time.Now(), programs: map[string]sample{}}, to: readMetrics(t.Context(), []string{addr})}
		l := s.topic("logs")
		require.Nil(t, l.Sent)
		require.Nil(t, l.Stored)
		require.NotNil(t, l.Lag)
	})
	t.Run("the log became shorter", func(t *testing.T) {
		l := between(t, program(t, fmt.Sprintf(planning, 1, 9000), fmt.Sprintf(planning, 1, 50))).topic("logs")
		require.Nil(t, l.Sent)
	})
	t.Run("it is no program of ours", func(t *testing.T) {
		r := readMetrics(t.Context(), []string{program(t, "<html>"), program(t, "")})
		require.Len(t, r.errs, 1)
	})
	var out bytes.Buffer
	require.NoError(t, overview{At: time.Unix(0, 0), Verdict: unclear, Topics: []topicOverview{{Topic: "logs"}}}.table(&out))
	line := strings.Fields(strings.Split(out.String(), "\n")[1])
	require.Equal(t, []string{"logs", "-", "-", "-", "-", "-", "-", "-", "-", "-"}, line)
	require.Contains(t, out.String(), "workers: -, ")
}

func TestTheOldestProblemComesFirstWithTheCommandThatShowsMore(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	open := []row{
		{Topic: "logs", State: "running", Started: at.Add(-time.Second)},
		{Topic: "logs", State: "blocked", Started: at.Add(-time.Minute), Error: "UNKNOWN_TABLE"},
		{Topic: "logs", State: "blocked", Started: at.Add(-time.Hour), Error: "ACCESS_DENIED"},
		{Topic: "events", State: "waiting", Started: at.Add(-2 * time.Hour), Error: "UNREACHABLE"},
		{Topic: "events", State: "running", Started: at.Add(-slow)},
		{Topic: "events", State: "isolating", Started: at.Add(-time.Minute)},
	}
	now := readMetrics(t.Context(), []string{program(t, `# TYPE ingest_topic_stopped gauge
ingest_topic_stopped{topic="metrics"} 1
ingest_topic_stopped{topic="logs"} 0
# TYPE ingest_audit_clean gauge
ingest_audit_clean{topic="logs"} 0
ingest_audit_clean{topic="metrics"} 1
# TYPE ingest_topic_retention_seconds gauge
ingest_topic_retention_seconds{topic="metrics"} 86400
ingest_topic_retention_seconds{topic="logs"} +Inf
`)})
	day, none := 86_000.0, 0.0
	o := overview{At: at, Topics: []topicOverview{
		{Topic: "logs", LagSeconds: &day, Batches: map[string]int{"blocked": 2}, Planners: []string{"a:1"}},
		{Topic: "events", LagSeconds: &none, Planners: []string{"a:1"}},
		{Topic: "metrics", LagSeconds: &day, Batches: map[string]int{}, Planners: []string{"a:1"}},
	}, Workers: []string{}}
	o.judge(now, open, true)
	require.Equal(t, needsSomebody, o.Verdict)
	var got []string
	for _, p := range o.Problems {
		got = append(got, p.String()+" | "+p.Command+" | "+p.Section)
	}
	require.Equal(t, []string{
		"metrics: a record waits for 23h53m20s, and Kafka deletes it after 24h0m0s | starter batches --topic metrics | docs/operations.md#lag-nears-the-retention",
		"metrics: a record waits for 23h53m20s, and no batch is open: the log of a:1 says why, after: planning waits | starter batches --topic metrics | docs/operations.md#nobody-plans",
		"events: 1 batch is waiting, the oldest for 2h0m0s: UNREACHABLE | starter batches --state waiting --topic events | docs/operations.md#clickhouse-cannot-be-reached",
		"logs: 2 batches are blocked, the oldest for 1h0m0s: ACCESS_DENIED | starter batches --state blocked --topic logs | docs/operations.md#blocked",
		"events: 1 batch is running, the oldest for 3m0s | starter batches --state running --topic events | docs/operations.md#batches-that-nobody-works-on",
		"no worker asks Temporal for work | starter batches --state running | docs/operations.md#batches-that-nobody-works-on",
		"logs: the newest audit of the whole topic is not clean | starter audit --topic logs | docs/operations.md#an-audit-is-not-clean",
		"metrics: it stands still: Kafka lost records that were planned | starter resume --dry-run --topic metrics | docs/operations.md#a-topic-stands-still",
	}, got)
	require.Equal(t, 1, exitCode(o.err()))
	book, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	for _, p := range o.Problems {
		title := strings.ReplaceAll(strings.TrimPrefix(p.Section, runbook), "-", " ")
		require.Regexp(t, "(?mi)^## "+title+"$", string(book), "the runbook has the section")
	}

	o.Problems, o.Workers, o.Topics = nil, nil, nil
	o.judge(now, nil, true)
	o.Unknown = []string{"no answer"}
	require.Equal(t, 2, exitCode(o.err()))
	require.ErrorContains(t, o.err(), "could not tell: no answer")
	o.judge(now, nil, false)
	require.Equal(t, flowing, o.Verdict)
	require.NoError(t, o.err())
}

// A planner that gets no answer from Kafka, or cannot take over since Temporal is away, shows no positions: that is no lag of 0, and
// no topic that flows.
func TestATopicWhosePlannerDoesNotKnowWhereItStandsIsNotSaidToFlow(t *testing.T) {
	const blind = "# TYPE ingest_planner gauge\ningest_planner{topic=\"logs\"} 1\n# TYPE ingest_completed_offsets_total counter\ningest_completed_offsets_total{place=\"stored\",topic=\"logs\"} 7\n"
	addr := program(t, blind)
	o := looked(t, []string{"logs"}, addr)
	require.Equal(t, unclear, o.Verdict)
	require.Equal(t, 2, exitCode(o.err()))
	require.Len(t, o.Unknown, 1)
	require.Contains(t, o.Unknown[0], "the consumer that plans logs does not know where the topic stands")
	require.Contains(t, o.Unknown[0], "(docs/operations.md#nobody-plans)")
	require.Nil(t, o.Topics[0].Lag)
}

// looked is what a status says of the programs where Temporal says that nothing is wrong.
func looked(t *testing.T, topics []string, metrics ...string) overview {
	t.Helper()
	w := &watching{topics: topics, metrics: metrics, lookup: net.DefaultResolver.LookupNetIP}
	w.read(t.Context())
	w.read(t.Context())
	return w.together(overview{At: time.Now(), Problems: []problem{}, Unknown: []string{}, Workers: []string{"1@a"}}, nil, nil)
}

// With Kafka away no consumer plans; with a misspelt TOPIC_LOGS all do. To name another consumer helps neither.
func TestStatusSaysWhyNobodyPlans(t *testing.T) {
	const standby = "# TYPE ingest_planner gauge\ningest_planner{topic=\"logs\"} 0\ningest_planner{topic=\"events\"} 0\n"
	worker := program(t, fmt.Sprintf(working, 1, 1, 1))
	for name, c := range map[string]struct {
		topics, metrics []string
		want            []string
	}{
		"consumers wait": {
			[]string{"logs", "events"},
			[]string{program(t, standby), program(t, standby), worker},
			[]string{"no consumer in --metrics plans logs, events: if that is all of them, their logs say why, after: planning waits (docs/operations.md#nobody-plans)"},
		},
		"consumers have other topics": {
			[]string{"lgos", "events"},
			[]string{program(t, standby), worker},
			[]string{
				"no consumer in --metrics plans events: if that is all of them, their logs say why, after: planning waits (docs/operations.md#nobody-plans)",
				"the consumers in --metrics have no topic lgos, they have events, logs: are TOPIC_LOGS, TOPIC_METRICS and TOPIC_EVENTS the same here?",
			},
		},
		"no consumer is named": {
			[]string{"logs"},
			[]string{worker},
			[]string{"no consumer in --metrics plans logs: name the one that does, if it runs (docs/operations.md#nobody-plans)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := looked(t, c.topics, c.metrics...)
			require.Equal(t, c.want, o.Unknown)
			require.Equal(t, 2, exitCode(o.err()))
		})
	}
}

// Temporal takes a worker that was killed for alive for a minute and a half.
func TestNothingIsSaidToFlowWhileRecordsWaitAndAProgramDoesNotAnswer(t *testing.T) {
	const idle = "# TYPE ingest_planner gauge\ningest_planner{topic=\"logs\"} 1\n# TYPE ingest_lag_offsets gauge\ningest_lag_offsets{partition=\"0\",topic=\"logs\"} 0\n"
	busy, free := program(t, fmt.Sprintf(planning, 1, 1000)), program(t, idle)
	worker := program(t, fmt.Sprintf(working, 1, 1, 1))
	for name, c := range map[string]struct {
		metrics []string
		verdict string
	}{
		"all answer":                        {[]string{busy, worker}, flowing},
		"one does not":                      {[]string{busy, "127.0.0.1:1"}, unclear},
		"one does not, and no records wait": {[]string{free, "127.0.0.1:1"}, flowing},
	} {
		t.Run(name, func(t *testing.T) {
			o := looked(t, []string{"logs"}, c.metrics...)
			require.Equal(t, c.verdict, o.Verdict)
			require.Equal(t, c.verdict == flowing, o.err() == nil)
		})
	}
}

func TestOnlyWorkersThatAskedJustNowAreSeen(t *testing.T) {
	now := time.Now()
	at := func(who string, ago time.Duration) *taskqueue.PollerInfo {
		return &taskqueue.PollerInfo{Identity: who, LastAccessTime: timestamppb.New(now.Add(-ago))}
	}
	d := &workflowservice.DescribeTaskQueueResponse{Pollers: []*taskqueue.PollerInfo{at("2@b", time.Minute), at("1@a", 0), at("1@a", time.Second), at("3@c", 2*time.Minute)}}
	require.Equal(t, []string{"1@a", "2@b"}, identities(d, now))
}

func TestStatusTellsWhatItCouldNotReachInOneLineEach(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	out, _, err := starter(t, "", "status", "--metrics", "127.0.0.1:2, 127.0.0.1:3")
	require.Equal(t, 2, exitCode(err))
	require.ErrorContains(t, err, "could not tell: no answer from Temporal at TEMPORAL_ADDRESS=127.0.0.1:1")
	require.Contains(t, out, "could not tell: no answer from Temporal at TEMPORAL_ADDRESS=127.0.0.1:1")
	for _, port := range []string{"2", "3"} {
		require.Contains(t, out, "could not tell: no metrics at 127.0.0.1:"+port+": dial tcp 127.0.0.1:"+port)
	}
	require.Equal(t, 3, strings.Count(out, "could not tell: "), out)
	require.NotContains(t, out, " 0 ")

	out, _, err = starter(t, "", "status", "--json", "--metrics", "127.0.0.1:2")
	require.Equal(t, 2, exitCode(err))
	var o overview
	require.NoError(t, json.Unmarshal([]byte(out), &o))
	require.Equal(t, unclear, o.Verdict)
	require.Nil(t, o.Topics[0].Lag)
	require.Contains(t, out, `"lag_records":null`)

	for _, bad := range []string{"nowhere", "off", "a:1,,b:2"} {
		_, _, err = starter(t, "", "status", "--metrics", bad)
		require.ErrorContains(t, err, "give host:port of each program")
		require.Equal(t, 2, exitCode(err))
	}
}

func TestStatusCountsBatchesOfItsGroupOnly(t *testing.T) {
	frontendtest.Needed(t)
	c, err := dialTemporal(t.Context())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	topic := "t-" + uuid.NewString()
	for _, group := range []string{"g", "g-2", "other"} {
		ingest(t, c, batch.ID(group, topic, batch.TopicID{}, 1), topic, workflows.AttributeTopic.ValueSet(topic))
	}
	batches := func(group string) int {
		w := &watching{group: group}
		defer w.close()
		var o overview
		open, err := w.ask(t.Context(), &o)
		require.NoError(t, err)
		n := 0
		for _, r := range open {
			if r.Topic == topic {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return batches("") == 3 }, 20*time.Second, 100*time.Millisecond)
	require.Equal(t, 1, batches("g"))

	t.Setenv("KAFKA_GROUP_ID", "g")
	t.Setenv("TOPIC_LOGS", topic)
	out, _, _ := starter(t, "", "status", "--json", "--metrics", "127.0.0.1:1")
	var o overview
	require.NoError(t, json.Unmarshal([]byte(out), &o))
	require.Equal(t, topic, o.Topics[0].Topic)
	require.Equal(t, map[string]int{"running": 1}, o.Topics[0].Batches)
}

func TestWatchDrawsInPlaceOnATerminalOnly(t *testing.T) {
	const text = "a\nb\n"
	require.Equal(t, text, frame(text, false, true))
	require.Equal(t, "\n"+text, frame(text, false, false))
	require.Equal(t, "{}\n", frame("{}\n", false, false))
	require.Equal(t, "\x1b[2J\x1b[Ha\nb\n", frame(text, true, true))
	require.Equal(t, "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J", frame(text, true, false))
}

func TestWatchComparesWithHalfAMinuteAgo(t *testing.T) {
	w := &watching{}
	start := time.Now()
	for n := range 40 {
		w.readings = append(w.readings, reading{at: start.Add(time.Duration(n-40) * apart)})
	}
	w.read(t.Context())
	require.GreaterOrEqual(t, w.readings[len(w.readings)-1].at.Sub(w.readings[0].at), smooth)
	require.Less(t, w.readings[len(w.readings)-1].at.Sub(w.readings[1].at), smooth)
}
