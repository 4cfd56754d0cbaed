package activities

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/record"
)

const (
	// directs are direct rows of events first … first+n-1, one a second from a given time on.
	directs = "INSERT INTO logs (timestamp, level, message, event_id, _topic, _partition, _offset) SELECT toDateTime64('2026-01-02 03:00:00', 6, 'UTC') + number, 'INFO', 'x'," +
		" toUUID(concat('01900000-0000-7000-8000-', lower(leftPad(hex(number), 12, '0')))), '" + topic + "', ?, ? FROM numbers(?, ?)"
)

func (b *bench) direct(first, n int, doubt int64) {
	b.t.Helper()
	b.exec(directs, record.DirectPartition, doubt, first, n)
}

// event sends the record of a direct row to partition 0 of Kafka.
func (b *bench) event(n int) {
	b.send(&kgo.Record{Topic: topic, Value: fmt.Appendf(nil, `{"timestamp":%q,"level":"INFO","message":"x","event_id":"%s"}`, time.Date(2026, 1, 2, 3, 0, n, 0, time.UTC).Format(time.RFC3339), eventOf(n))})
}

func eventOf(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("01900000-0000-7000-8000-%012x", n))
}

func (b *bench) resolve(from ...any) Direct {
	b.t.Helper()
	d, err := run[Direct](b, b.ResolveDirect, ResolveDirectInput{Topic: topic}, from...)
	require.NoError(b.t, err)
	return d
}

// once requires that many events, each with one row, and how many of them are direct rows.
func (b *bench) once(events, direct int) {
	b.t.Helper()
	require.Equal(b.t, events, b.count("SELECT count() FROM logs"))
	require.Equal(b.t, events, b.count("SELECT uniqExact(event_id) FROM logs"))
	require.Equal(b.t, direct, b.count("SELECT count() FROM logs WHERE _partition = ?", record.DirectPartition))
}

func TestOfADoubleKafkasRowStaysInEitherOrder(t *testing.T) {
	b := setup(t)
	b.direct(0, 50, record.DirectDoubt)
	b.direct(50, 50, record.DirectSure)
	for n := range 60 {
		b.event(n)
	}
	require.NoError(t, b.cl.Flush(b.ctx))
	require.Equal(t, Direct{Rows: 100, Doubt: 50}, b.resolve(), "nothing of Kafka's is there yet")
	j := b.job(0)
	j.Ranges = batch.Ranges{{Last: 39}}
	b.insert(j)
	require.Equal(t, Direct{Rows: 100, Doubt: 50, Removed: 40}, b.resolve())
	b.once(100, 60)
	j.Turn, j.Ranges = 1, batch.Ranges{{Last: 59}}
	b.insert(j)
	require.Equal(t, Direct{Rows: 60, Doubt: 10, Removed: 20}, b.resolve())
	b.direct(0, 5, record.DirectDoubt) // Kafka's were first
	require.Equal(t, Direct{Rows: 45, Doubt: 5, Removed: 5}, b.resolve())
	b.once(100, 40)
	require.Equal(t, Audited{Offsets: 60, Stored: 60}, b.audit(batch.Range{Last: 59}))
	require.Empty(t, b.look(j).Absent, "the look does not take a removed row for one of Kafka's, nor a direct one")
}

func TestARedrivenRowIsKafkasToo(t *testing.T) {
	b := setup(t)
	b.direct(0, 3, record.DirectDoubt)
	for n := range 2 {
		b.exec(fmt.Sprintf(`INSERT INTO dead_letters (value, class, reason, _topic, _topic_id, _offset) VALUES ('{"timestamp":"2026-01-02T03:00:%02dZ","level":"INFO","message":"x","event_id":"%s"}', 'rejected', 'x', '%s', '%s', %d)`,
			n, eventOf(n), topic, b.id, n))
	}
	require.Equal(t, Direct{Rows: 3, Doubt: 3}, b.resolve(), "the direct row is the only one that is stored")
	j := b.job(0)
	j.Ranges, j.Letters = batch.Ranges{{Last: 1}}, true
	b.insert(j)
	require.Equal(t, Direct{Rows: 3, Doubt: 3, Removed: 2}, b.resolve())
	b.once(3, 1)
}

func TestDirectRowsThatAreStoredTwiceAreNamedAndStay(t *testing.T) {
	b := setup(t)
	b.direct(0, 40, record.DirectSure)
	b.direct(5, 30, record.DirectDoubt)
	b.exec("INSERT INTO logs (timestamp, event_id, _topic, _topic_id, _partition, _offset) SELECT timestamp, event_id, _topic, ?, 0, 7 FROM logs WHERE event_id = ? LIMIT 1", b.id.String(), eventOf(7))
	d := b.resolve()
	require.Len(t, d.TwiceEvents, maxTwice)
	require.Equal(t, eventOf(5), d.TwiceEvents[0])
	d.TwiceEvents = nil
	require.Equal(t, Direct{Rows: 70, Doubt: 30, Removed: 2, Twice: 29}, d)
	require.Equal(t, 69, b.count("SELECT count() FROM logs"))
}

func TestASearchGoesOnFromItsLastHeartbeat(t *testing.T) {
	b := setup(t)
	b.direct(0, 120, record.DirectSure)
	b.direct(0, 120, record.DirectSure) // twice
	before := Direct{Rows: 7, Doubt: 3, Removed: 2, Twice: 1, TwiceEvents: []uuid.UUID{eventOf(1)}}
	minute := time.Date(2026, 1, 2, 3, 1, 0, 0, time.UTC).Unix() / 60
	d := b.resolve(directProgress{Next: minute, Found: before})
	require.EqualValues(t, 7+120, d.Rows)
	require.EqualValues(t, 61, d.Twice)
	require.EqualValues(t, 3, d.Doubt)
	require.Equal(t, []uuid.UUID{eventOf(1), eventOf(60)}, d.TwiceEvents[:2])
	require.Equal(t, Direct{Rows: 7, Doubt: 3, Removed: 2, Twice: 1, TwiceEvents: before.TwiceEvents}, b.resolve(directProgress{Next: minute + 1, Found: before}))
}

func TestAttemptsThatEndAnywhereDoNoHarm(t *testing.T) {
	b := setup(t)
	const n = 24_000
	b.direct(0, n, record.DirectDoubt)
	b.exec("INSERT INTO logs (timestamp, event_id, _topic, _topic_id, _partition, _offset) SELECT timestamp, event_id, _topic, ?, 0, rowNumberInAllBlocks() FROM logs WHERE cityHash64(event_id) % 5 > 0", b.id.String())
	doubles := b.count("SELECT count() FROM logs WHERE _partition = 0")
	ended := 0
	for after := 5 * time.Millisecond; b.count("SELECT count() FROM logs WHERE _partition = -1") > n-doubles; after = after * 5 / 4 {
		ctx, cancel := context.WithTimeout(b.ctx, after)
		var s testsuite.WorkflowTestSuite
		s.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
		env := s.NewTestActivityEnvironment()
		env.SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
		env.RegisterActivity(b.Activities)
		if _, err := env.ExecuteActivity(b.ResolveDirect, ResolveDirectInput{Topic: topic}); err != nil {
			ended++
		}
		cancel()
	}
	require.Positive(t, ended)
	b.once(n, n-doubles)
	require.Equal(t, Direct{Rows: int64(n - doubles), Doubt: int64(n - doubles)}, b.resolve())
}

func TestMoreCopiesThanOneRemovalNamesGoInOneSearch(t *testing.T) {
	b := setup(t)
	const n = 12_000
	b.direct(0, n, record.DirectDoubt)
	b.exec("INSERT INTO logs (timestamp, event_id, _topic, _topic_id, _partition, _offset) SELECT timestamp, event_id, _topic, ?, 0, rowNumberInAllBlocks() FROM logs", b.id.String())
	removing := b.Queries
	unmasked, err := chgo.Open(&chgo.Options{Addr: b.cfg.Addresses(), Auth: chgo.Auth{Database: b.cfg.Database, Username: b.cfg.User}, Settings: chgo.Settings{"apply_deleted_mask": 0}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = unmasked.Close() })
	b.Queries = unmasked
	_, err = run[Direct](b, b.ResolveDirect, ResolveDirectInput{Topic: topic})
	require.Equal(t, "ROWS_STAY", TroubleOf(err).Name, "it does not go round and round")
	require.Equal(t, Blocked, TroubleOf(err).Class)
	b.Queries = removing
	require.Equal(t, Direct{Rows: 2000, Doubt: 2000, Removed: 2000}, b.resolve())

	b.direct(0, n, record.DirectDoubt)
	require.Equal(t, Direct{Rows: n, Doubt: n, Removed: n}, b.resolve())
	b.once(n, 0)
}

func TestWithoutTheRightToDeleteCopiesAreCountedAndStay(t *testing.T) {
	b := setup(t)
	b.direct(0, 10, record.DirectSure)
	b.direct(9, 1, record.DirectSure)
	b.exec("INSERT INTO logs (timestamp, event_id, _topic, _topic_id, _partition, _offset) SELECT timestamp, event_id, _topic, ?, 0, rowNumberInAllBlocks() FROM logs WHERE toSecond(timestamp) < 4", b.id.String())
	b.Queries = clickhousetest.Open(t, clickhousetest.Restricted(t, b.cfg, b.conn))
	d := b.resolve()
	require.Contains(t, d.Untold, "ACCESS_DENIED: 4 direct rows in logs are copies of what Kafka brought, and stay: GRANT ALTER DELETE ON logs to the worker's CLICKHOUSE_USER")
	d.Untold = ""
	require.Equal(t, Direct{Rows: 11, Kept: 4, Twice: 1, TwiceEvents: []uuid.UUID{eventOf(9)}}, d)
	require.Equal(t, 15, b.count("SELECT count() FROM logs"))
	b.Queries = b.conn // who has the right
	require.EqualValues(t, 4, b.resolve().Removed)
}

func TestWhatATableDoesNotTakeIsWaitedForAFewTimesOnly(t *testing.T) {
	b := setup(t)
	b.direct(0, 1, record.DirectSure)
	b.exec("INSERT INTO logs (timestamp, event_id, _topic, _topic_id, _partition, _offset) SELECT timestamp, event_id, _topic, ?, 0, 7 FROM logs", b.id.String())
	b.exec("ALTER TABLE logs MODIFY SETTING lightweight_mutation_projection_mode = 'throw'")
	_, err := run[Direct](b, b.ResolveDirect, ResolveDirectInput{Topic: topic})
	odd := TroubleOf(err)
	require.Equal(t, Outage, odd.Class, "%+v", odd)
	require.Positive(t, odd.Code)
	for name, c := range map[string]struct {
		code    int32
		attempt int32
		class   Class
	}{
		"nobody knows it":         {int32(odd.Code), oddTries - 1, Outage},
		"nobody knows it, still":  {int32(odd.Code), oddTries, Blocked},
		"an outage":               {241, 1000, Outage},
		"needs an operator":       {60, 1, Blocked},
		"no server has answered":  {0, 1000, Outage},
		"a value was not liked":   {53, 1, Rejected},
		"a replica is not itself": {242, 1000, Outage},
	} {
		t.Run(name, func(t *testing.T) {
			f := &clickhouse.Failure{Code: c.code}
			if c.code > 0 {
				f = clickhouse.Classify(&chgo.Exception{Code: c.code})
			}
			require.Equal(t, c.class, directTrouble(f, c.attempt).Class)
		})
	}
	_, err = run[Direct](b, b.ResolveDirect, ResolveDirectInput{Topic: "other"})
	require.Equal(t, "UNKNOWN_TOPIC", TroubleOf(err).Name)
}
