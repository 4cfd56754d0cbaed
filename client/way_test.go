package client

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/ai-backlog/ingest/record"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// stand is a client whose servers can be taken away.
type stand struct {
	t       *testing.T
	c       *Client
	conn    driver.Conn
	brokers *kfake.Cluster
	addrs   []string
	kafka   *link
	click   *link
	log     *syncBuffer
	stored  map[uuid.UUID]bool // accepted
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newStand(t *testing.T, change ...func(*Config)) *stand {
	t.Helper()
	s := &stand{t: t, kafka: newLink(), click: newLink(), log: &syncBuffer{}, stored: map[uuid.UUID]bool{}}
	k := brokers(t, kfake.ListenFn(s.kafka.listen))
	s.brokers, s.addrs = k, k.ListenAddrs()
	var cfg Config
	cfg, s.conn = bothWays(t, s.addrs)
	cfg.ClickHouse = s.click.through(t, cfg.ClickHouse)
	cfg.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	for _, f := range change {
		f(&cfg)
	}
	s.c = open(t, cfg)
	return s
}

// store has n logs accepted.
func (s *stand) store(n int) {
	s.t.Helper()
	for range n {
		id := uuid.Must(uuid.NewV7())
		require.NoError(s.t, s.c.StoreLog(within(s.t, 10*time.Second), Log{Level: "INFO", AgentID: "a", EventID: id, Message: fmt.Sprint(strings.Repeat("a record among others ", 40), len(s.stored))}))
		s.stored[id] = true
	}
}

// rows counts the direct rows of the table with the offset, by event_id.
func (s *stand) rows(offset int64) map[uuid.UUID]int {
	s.t.Helper()
	out := map[uuid.UUID]int{}
	rows, err := s.conn.Query(s.t.Context(), "SELECT event_id FROM logs WHERE _topic = ? AND _topic_id = toUUID('00000000-0000-0000-0000-000000000000') AND _partition = -1 AND _offset = ?", topics.Logs, offset)
	require.NoError(s.t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id uuid.UUID
		require.NoError(s.t, rows.Scan(&id))
		out[id]++
	}
	require.NoError(s.t, rows.Err())
	return out
}

// inKafka counts the topic's records, by event_id.
func (s *stand) inKafka(n int) map[uuid.UUID]int {
	s.t.Helper()
	out := map[uuid.UUID]int{}
	check := record.NewChecker(record.Log)
	for _, r := range inKafka(s.t, s.addrs, topics.Logs, n) {
		require.NoError(s.t, check.Check(r.Value))
		id, ok := check.EventID()
		require.True(s.t, ok)
		out[id]++
	}
	return out
}

// exact requires that every accepted record is in one place, once.
func (s *stand) exact(maps ...map[uuid.UUID]int) {
	s.t.Helper()
	found := map[uuid.UUID]int{}
	for _, m := range maps {
		for id, n := range m {
			found[id] += n
		}
	}
	for id := range s.stored {
		require.Equal(s.t, 1, found[id], "%s", id)
	}
	require.Len(s.t, found, len(s.stored))
}

func (s *stand) until(what string, done func(Stats) bool) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return done(s.c.Stats()) }, 30*time.Second, 10*time.Millisecond, what)
}

func TestWhileKafkaIsAwayRecordsGoStraightToClickHouseAndThenToKafkaAgain(t *testing.T) {
	s := newStand(t)
	s.kafka.cut()
	s.store(1000)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	require.Equal(t, Stats{Direct: 1000, Away: true}, s.c.Stats())
	s.kafka.mend()
	for s.c.Stats().Away { // one record proves that it is back
		s.store(1)
		require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	}
	s.store(1000)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	st := s.c.Stats()
	require.Greater(t, st.Sent, int64(1000))
	require.Equal(t, int64(len(s.stored)), st.Sent+st.Direct)
	s.exact(s.inKafka(int(st.Sent)), s.rows(record.DirectSure))
	require.Equal(t, 1, strings.Count(s.log.String(), "kafka does not answer"), s.log)
	require.Equal(t, 1, strings.Count(s.log.String(), "kafka answers again"), s.log)
	require.Equal(t, 2, strings.Count(s.log.String(), "\n"), "one line for each change, none for a record: %s", s.log)
	require.NoError(t, testutil.CollectAndCompare(s.c, strings.NewReader(`
# HELP ingest_client_way_changes_total Times that records of the kind changed their way: to ClickHouse, because Kafka did not answer, and back.
# TYPE ingest_client_way_changes_total counter
ingest_client_way_changes_total{kind="event"} 0
ingest_client_way_changes_total{kind="log"} 2
ingest_client_way_changes_total{kind="metric"} 0
`), "ingest_client_way_changes_total"))
}

func TestRecordsInDoubtAreNotSentBothWays(t *testing.T) {
	s := newStand(t)
	s.store(100)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	s.kafka.silence()
	s.store(100) // Kafka takes them, and nobody hears of it
	s.until("kafka is given up", func(st Stats) bool { return st.Away })
	doubt := s.c.Stats().InDoubt
	require.Positive(t, doubt)
	s.store(100)
	s.until("the others are stored", func(st Stats) bool { return st.Buffered == doubt })
	require.Equal(t, doubt, s.c.Stats().InDoubt)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var unsent *UnsentError
	require.ErrorAs(t, s.c.Flush(ctx), &unsent)
	require.Equal(t, UnsentError{InDoubt: doubt}, UnsentError{Unsent: unsent.Unsent, InDoubt: unsent.InDoubt, Lost: unsent.Lost})
	s.kafka.mend()
	require.NoError(t, s.c.Flush(within(t, 30*time.Second)))
	st := s.c.Stats()
	require.Zero(t, st.InDoubt)
	s.exact(s.inKafka(int(st.Sent)), s.rows(record.DirectSure))
}

func TestAtTheEndWhatIsInDoubtIsStoredMarked(t *testing.T) {
	s := newStand(t)
	s.store(10)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	s.kafka.silence()
	s.store(90)
	require.NoError(t, s.c.Close(within(t, 8*time.Second)))
	st := s.c.Stats()
	require.Equal(t, Stats{Sent: 10, Direct: st.Direct, Marked: st.Marked, Away: true}, st)
	require.Equal(t, int64(90), st.Direct+st.Marked)
	require.Positive(t, st.Marked)
	s.kafka.mend()
	sure, marked, sent := s.rows(record.DirectSure), s.rows(record.DirectDoubt), s.inKafka(10+int(st.Marked))
	require.Len(t, marked, int(st.Marked))
	for id := range marked { // the silent broker has taken them
		require.Equal(t, 1, sent[id])
		delete(sent, id)
	}
	s.exact(sure, marked, sent)
}

func TestAtTheEndWhatKafkaNeverSawIsStoredUnmarked(t *testing.T) {
	s := newStand(t, func(c *Config) { c.FallbackAfter = time.Minute })
	s.kafka.cut()
	s.store(100)
	require.NoError(t, s.c.Close(within(t, 8*time.Second)))
	require.Equal(t, int64(100), s.c.Stats().Direct)
	s.exact(s.rows(record.DirectSure))
}

func TestWhileBothAreAwayCallsWaitAndNothingIsLost(t *testing.T) {
	s := newStand(t, func(c *Config) { c.BufferBytes = leastBuffer })
	s.kafka.cut()
	s.click.cut()
	text := strings.Repeat("x", 100_000)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var err error
	for err == nil {
		id := uuid.Must(uuid.NewV7())
		if err = s.c.StoreLog(ctx, Log{Level: "INFO", Message: text, EventID: id}); err == nil {
			s.stored[id] = true
		}
	}
	var unsent *UnsentError
	require.ErrorAs(t, err, &unsent)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, int64(len(s.stored)), unsent.Unsent, "%v", err)
	require.Contains(t, err.Error(), "KAFKA_SERVERS=")
	require.LessOrEqual(t, s.c.Stats().BufferedBytes, int64(leastBuffer))
	require.Greater(t, s.c.Stats().BufferedBytes, int64(leastBuffer)-101_000)
	s.kafka.mend()
	require.NoError(t, s.c.Flush(within(t, 30*time.Second)))
	st := s.c.Stats()
	require.Positive(t, st.Sent, "%+v", st)
	s.exact(s.inKafka(int(st.Sent)), s.rows(record.DirectSure))
}

func TestABlockThatWasNeverSentIsNotInDoubt(t *testing.T) {
	s := newStand(t)
	s.kafka.cut()
	s.click.cut()
	s.store(100)
	s.until("clickhouse is tried", func(Stats) bool { return strings.Contains(s.log.String(), "clickhouse does not take records") })
	require.Zero(t, s.c.Stats().InDoubt)
	s.kafka.mend() // and ClickHouse stays away: nothing of the block has to wait for it
	require.NoError(t, s.c.Flush(within(t, 30*time.Second)))
	s.exact(s.inKafka(100))
}

func TestAnInsertWithoutAnAnswerIsNotStoredTwice(t *testing.T) {
	s := newStand(t)
	s.kafka.cut()
	s.click.silenceAfter(10_000)
	s.store(100)
	s.until("some are stored, and nobody says so", func(st Stats) bool { return int64(len(s.rows(record.DirectSure))) > st.Direct && st.Buffered > 0 })
	s.click.mend()
	require.NoError(t, s.c.Flush(within(t, 30*time.Second)))
	s.exact(s.rows(record.DirectSure))
}

// blockOf is a block of n new logs that was begun so long ago, unanswered.
func (s *stand) blockOf(n int, begun time.Duration) *block {
	l := s.c.lanes[record.Log]
	l.mu.Lock()
	l.direct = true
	l.mu.Unlock()
	s.c.buffer.told = func(record.Kind) {} // nobody takes them but the test
	s.store(n)
	b := l.fill(s.c.buffer.takeDirect(record.Log, make([]item, 0, n), directBytes, true), record.DirectSure)
	b.begun, b.unanswered = time.Now().Add(-begun), time.Now().Add(-begun)
	l.missed(int64(n))
	return b
}

func TestATokenThatIsTooOldIsNotUsedAgain(t *testing.T) {
	s := newStand(t)
	l := s.c.lanes[record.Log]
	b := s.blockOf(100, tokenValid+time.Second)
	half := &block{items: b.items[:50], token: "another", mark: record.DirectSure, rows: record.NewBlock(record.Log)}
	for _, it := range half.items {
		require.NoError(t, half.rows.Append(it.value, record.Coordinates{Topic: topics.Logs, Partition: record.DirectPartition}))
	}
	require.NoError(t, s.c.inserter.Insert(t.Context(), "logs", half.rows.Input(), half.token)) // what became of it
	require.NoError(t, l.step(t.Context(), b))
	require.Equal(t, int64(50), s.c.Stats().Direct)
	require.Equal(t, int64(50), s.c.buffer.waiting(record.Log), "what the table has not goes either way again")
	require.Zero(t, l.doubt())
	s.c.buffer.told = s.c.wake
	s.c.wake(record.Log)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	s.exact(s.rows(record.DirectSure), s.inKafka(int(s.c.Stats().Sent)))
}

func TestABlockIsStoredThoughTheTableKnowsItsTokenAndHasNotItsRows(t *testing.T) {
	s := newStand(t)
	b := s.blockOf(100, time.Second)
	b.unanswered = time.Now().Add(-quiet) // so long ago that nothing is at work any more
	dead := record.NewBlock(record.Log)   // as a server that is killed between the two leaves it
	require.NoError(t, dead.Append(b.items[0].value, record.Coordinates{Topic: "nowhere", Partition: record.DirectPartition}))
	require.NoError(t, s.c.inserter.Insert(t.Context(), "logs", dead.Input(), b.token))
	l := s.c.lanes[record.Log]
	for range 2 { // the token is known; another one is not
		if l.step(t.Context(), b) == nil {
			break
		}
	}
	require.Equal(t, int64(100), s.c.Stats().Direct)
	require.Zero(t, l.doubt())
	s.exact(s.rows(record.DirectSure))
}

func TestNobodyAsksTheTableWhileAnInsertMayBeAtWork(t *testing.T) {
	s := newStand(t)
	b := s.blockOf(10, tokenValid+time.Second)
	b.unanswered = time.Now().Add(-time.Second)
	require.ErrorContains(t, s.c.lanes[record.Log].step(t.Context(), b), "may still be at work")
	require.Len(t, b.items, 10)
}

func TestWhatTheTableRefusesWaitsForKafka(t *testing.T) {
	s := newStand(t)
	require.NoError(t, s.conn.Exec(t.Context(), "ALTER TABLE logs ADD CONSTRAINT odd CHECK NOT endsWith(message, '7')"))
	s.kafka.cut()
	s.store(100)
	s.until("refused", func(Stats) bool { return strings.Contains(s.log.String(), "clickhouse refuses records") })
	require.Empty(t, s.rows(record.DirectSure))
	require.NotContains(t, s.log.String(), "in_doubt=1", "an answer is no doubt")
	s.kafka.mend()
	require.NoError(t, s.c.Flush(within(t, 30*time.Second)))
	s.exact(s.inKafka(100))
	require.LessOrEqual(t, strings.Count(s.log.String(), "clickhouse refuses records"), 2, "once for each block: %s", s.log)
}

func TestWhatTheTableCannotTakeNowGoesThereLater(t *testing.T) {
	s := newStand(t)
	require.NoError(t, s.conn.Exec(t.Context(), "RENAME TABLE logs TO elsewhere"))
	s.kafka.cut()
	s.store(100)
	s.until("blocked", func(Stats) bool { return strings.Contains(s.log.String(), "clickhouse does not take records") })
	require.NoError(t, s.conn.Exec(t.Context(), "RENAME TABLE elsewhere TO logs"))
	require.NoError(t, s.c.Flush(within(t, 30*time.Second)))
	s.exact(s.rows(record.DirectSure))
}

func TestAJSONWithoutEventIDWaitsForKafka(t *testing.T) {
	s := newStand(t)
	s.kafka.cut()
	ctx := within(t, 30*time.Second)
	require.NoError(t, s.c.StoreJSON(ctx, record.Log, "k", []byte(`{"level":"INFO"`))) // a dead letter to be
	require.NoError(t, s.c.StoreJSON(ctx, record.Log, "k", []byte(`{"timestamp":1,"level":"INFO","message":"no ID"}`)))
	id := uuid.Must(uuid.NewV7())
	require.NoError(t, s.c.StoreJSON(ctx, record.Log, "k", fmt.Appendf(nil, `{"timestamp":1,"level":"INFO","message":"ID","event_id":"%s"}`, id)))
	s.until("stored", func(st Stats) bool { return st.Direct == 1 && st.Buffered == 2 })
	require.Equal(t, map[uuid.UUID]int{id: 1}, s.rows(record.DirectSure))
	s.kafka.mend()
	require.NoError(t, s.c.Flush(ctx))
	require.Len(t, inKafka(t, s.addrs, topics.Logs, 2), 2)
}

func TestAClosedClientAcceptsNothing(t *testing.T) {
	s := newStand(t)
	s.store(1)
	require.NoError(t, s.c.Close(within(t, 20*time.Second)))
	require.ErrorIs(t, s.c.StoreLog(t.Context(), Log{Level: "INFO"}), ErrClosed)
	require.ErrorIs(t, s.c.Close(t.Context()), ErrClosed)
	s.exact(s.inKafka(1))
}

func TestCloseTellsWhatIsLost(t *testing.T) {
	s := newStand(t)
	s.kafka.cut()
	s.click.cut()
	s.store(10)
	var unsent *UnsentError
	err := s.c.Close(within(t, 3*time.Second))
	require.ErrorAs(t, err, &unsent)
	require.Equal(t, int64(10), unsent.Unsent+unsent.InDoubt)
	require.True(t, unsent.Lost)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestKafkaHasItsTimeFromTheFirstRecordOn(t *testing.T) {
	s := newStand(t)
	s.c.lanes[record.Log].answered = time.Now().Add(-time.Hour) // the client is old
	s.kafka.cut()
	s.store(1)
	gone := s.c.lanes[record.Log].giveUp(time.Now(), 1)
	require.False(t, gone)
}
