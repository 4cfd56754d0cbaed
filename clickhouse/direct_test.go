package clickhouse_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
)

const doubt = 1

var directLogs = clickhouse.Direct{Table: "logs", Topic: "t", Partition: -1, Doubt: doubt}

// resolution is what a walk over all direct rows found and did.
type resolution struct {
	rows, doubt, removed, twice int64
	events                      []uuid.UUID
}

func resolve(ctx context.Context, d *clickhouse.Doubles) (r resolution, err error) {
	ss, err := d.Stretches(ctx, 0)
	for _, s := range ss {
		r.rows += s.Rows
		r.doubt += s.Doubt
		for part := range s.Parts {
			for more := true; more; {
				f, err := d.Find(ctx, s, part)
				if err != nil {
					return r, err
				}
				if err := d.Remove(ctx, f.Listed); err != nil {
					return r, err
				}
				listed := int64(0)
				for _, c := range f.Listed {
					listed += c.Rows
				}
				r.removed += listed
				if more = listed < f.Copies; !more {
					r.twice += f.Twice
					r.events = append(r.events, f.Events...)
				}
			}
		}
	}
	return r, err
}

func (b bundle) resolve(t *testing.T) resolution {
	t.Helper()
	r, err := resolve(t.Context(), clickhouse.NewDoubles(b.conn, directLogs))
	require.NoError(t, err)
	return r
}

// rowOf inserts rows by one statement: events are numbers, and messages say whose row it is.
func (b bundle) rowOf(t *testing.T, message, topicName string, id batch.TopicID, partition, offset int, second float64, events ...int) {
	t.Helper()
	var values []string
	for i, e := range events {
		values = append(values, fmt.Sprintf("(toDateTime64('2026-01-31 23:59:00', 6, 'UTC') + toIntervalMicrosecond(%d), '%s %d', '%s', '%s', '%s', %d, %d)", int(math.Round(second*1e6)), message, e, event(e), topicName, id, partition, offset+i*partitionStep(partition)))
	}
	b.exec(t, "INSERT INTO logs (timestamp, message, event_id, _topic, _topic_id, _partition, _offset) VALUES "+strings.Join(values, ","))
}

func partitionStep(partition int) int { // direct rows all have the same offset
	return max(0, min(partition+1, 1))
}

func event(n int) uuid.UUID {
	if n == 0 {
		return uuid.Nil
	}
	return uuid.MustParse(fmt.Sprintf("01900000-0000-7000-8000-%012x", n))
}

func (b bundle) direct(t *testing.T, message string, offset int, second float64, events ...int) {
	t.Helper()
	b.rowOf(t, message, "t", batch.TopicID{}, -1, offset, second, events...)
}

func (b bundle) brought(t *testing.T, message string, offset int, second float64, events ...int) {
	t.Helper()
	b.rowOf(t, message, "t", topic, 0, offset, second, events...)
}

// messages are all rows of logs.
func (b bundle) messages(t *testing.T) []string {
	t.Helper()
	var all []string
	require.NoError(t, b.conn.QueryRow(t.Context(), "SELECT arraySort(groupArray(message)) FROM logs").Scan(&all))
	return all
}

func TestOnlyTheDirectCopyOfADoubleGoes(t *testing.T) {
	b := setup(t)
	require.Equal(t, resolution{}, b.resolve(t), "of an empty table")
	for n, second := range []float64{1, 59.999999, 90} { // two minutes, of two months
		e := 100 * n
		b.brought(t, "alone", 100*n, second, e+1, e+2)
		b.direct(t, "direct alone", 0, second, e+3)
		b.direct(t, "doubt alone", doubt, second, e+4)
		b.direct(t, "GONE sure", 0, second, e+5)
		b.direct(t, "GONE doubt", doubt, second, e+6, e+7)
		b.brought(t, "double", 100*n+10, second, e+5, e+6, e+7)
		b.direct(t, "GONE twice", doubt, second, e+8, e+8)
		b.brought(t, "double", 100*n+20, second, e+8)
		b.direct(t, "twice", 0, second, e+9, e+9)
		b.rowOf(t, "other topic", "u", batch.TopicID{}, -1, 0, second, e+1, e+5)
		b.direct(t, "no event", 0, second, 0)
		b.brought(t, "no event", 100*n+30, second, 0)
		b.direct(t, "another time", 0, second+0.000001, e+1)
		b.rowOf(t, "GONE direct", "t", batch.TopicID{}, -1, doubt, second, e+10)
		b.rowOf(t, "of another topic", "u", batch.TopicID{9}, 3, 100*n, second, e+10)
		b.rowOf(t, "by hand", "t", batch.TopicID{}, 0, 0, second, e+3, e+4)
	}
	before := b.messages(t)
	want := slices.DeleteFunc(slices.Clone(before), func(m string) bool { return strings.HasPrefix(m, "GONE") })
	require.Len(t, before, len(want)+3*6)

	r := b.resolve(t)
	require.Equal(t, want, b.messages(t))
	require.Equal(t, resolution{rows: 3 * 12, doubt: 3 * 6, removed: 3 * 6, twice: 3, events: []uuid.UUID{event(9), event(109), event(209)}}, r)
	require.Equal(t, resolution{rows: 3 * 6, doubt: 3, twice: 3, events: r.events}, b.resolve(t), "nothing is left to remove")
	require.Equal(t, want, b.messages(t))
}

func TestACopyThatComesLaterIsFoundByTheNextSearch(t *testing.T) {
	b := setup(t)
	b.direct(t, "direct", doubt, 1, 1, 2, 3)
	b.direct(t, "direct", 0, 1, 4)
	require.Equal(t, resolution{rows: 4, doubt: 3}, b.resolve(t))
	b.brought(t, "brought", 0, 1, 1, 2)
	require.Equal(t, resolution{rows: 4, doubt: 3, removed: 2}, b.resolve(t))
	require.Equal(t, []string{"brought 1", "brought 2", "direct 3", "direct 4"}, b.messages(t))
	b.brought(t, "brought", 10, 1, 3)
	b.direct(t, "direct", doubt, 1, 3) // and a client that sends late
	require.Equal(t, resolution{rows: 3, doubt: 2, removed: 2}, b.resolve(t))
	require.Equal(t, []string{"brought 1", "brought 2", "brought 3", "direct 4"}, b.messages(t))
}

func TestPartsThatWereMutatedOrHaveExpiredAreSearchedAlike(t *testing.T) {
	b := setup(t)
	for n := range 4 {
		b.direct(t, "direct", doubt, float64(n), 10*n+1, 10*n+2, 10*n+3)
		b.brought(t, "brought", 10*n, float64(n), 10*n+1, 10*n+2, 10*n+4)
	}
	b.exec(t, "OPTIMIZE TABLE logs FINAL")
	b.exec(t, "ALTER TABLE logs UPDATE level = 'x' WHERE _offset = 1 SETTINGS mutations_sync = 1")
	b.exec(t, fmt.Sprintf("DELETE FROM logs WHERE event_id IN ('%s', '%s') AND _partition = 0", event(1), event(14)))
	b.exec(t, fmt.Sprintf("DELETE FROM logs WHERE event_id IN ('%s', '%s') AND _partition = -1", event(12), event(13)))
	b.direct(t, "late", doubt, 0, 1)
	b.exec(t, "ALTER TABLE logs MODIFY TTL timestamp + toIntervalMonth(1000) DELETE WHERE toSecond(timestamp) = 2")
	b.exec(t, "ALTER TABLE logs MATERIALIZE TTL SETTINGS mutations_sync = 1")
	r := b.resolve(t)
	require.EqualValues(t, 1, r.twice, "1 is twice: Kafka's row was deleted")
	require.EqualValues(t, 11, r.rows)
	require.EqualValues(t, 6, r.removed)
	require.Equal(t, 0, b.count(t, "SELECT count() FROM logs WHERE _partition = -1 AND (timestamp, event_id) IN (SELECT timestamp, event_id FROM logs WHERE _partition = 0)"))
	require.Equal(t, 10, b.count(t, "SELECT count() FROM logs WHERE _partition = 0"))
	require.Equal(t, 5, b.count(t, "SELECT count() FROM logs WHERE _partition = -1"))
}

func TestProjectionsAnswerRightAfterARemoval(t *testing.T) {
	b := setup(t)
	for n := range 3 {
		b.direct(t, "direct", n%2, 1, n*10+1, n*10+2)
		b.brought(t, "brought", n*10, 1, n*10+1, n*10+2, n*10+3)
		b.exec(t, "OPTIMIZE TABLE logs FINAL")
	}
	require.EqualValues(t, 6, b.resolve(t).removed)
	of := func(id batch.TopicID, partition int32) batch.Ranges {
		held, doubled := b.held(t, "logs", id, batch.Range{Partition: partition, Last: 99})
		require.Empty(t, doubled)
		return held
	}
	require.Equal(t, batch.Ranges{{First: 0, Last: 2}, {First: 10, Last: 12}, {First: 20, Last: 22}}, of(topic, 0))
	require.Empty(t, of(batch.TopicID{}, -1))
	present, doubled, err := b.looker.Look(t.Context(), "logs", topic, batch.Ranges{{Last: 99}})
	require.NoError(t, err)
	require.Zero(t, doubled)
	require.Equal(t, of(topic, 0), present)
	require.Equal(t, resolution{}, b.resolve(t))
	var used []string
	b.logged(t, &used, "SELECT projections FROM system.query_log WHERE type = 'QueryFinish' AND current_database = ? AND position(query, 'IN ((-1,0))') > 0 AND position(query, 'query_log') = 0 ORDER BY event_time_microseconds DESC LIMIT 1", b.cfg.Database)
	require.Equal(t, []string{b.cfg.Database + ".logs.by_bucket"}, used, "a table without direct rows is not scanned")
}

func TestTwoMayRemoveTheSameCopiesAtOnce(t *testing.T) {
	b := setup(t)
	const n = 30_000
	b.many(t, -1, n, 0)
	b.many(t, 0, n/2, 0)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = resolve(t.Context(), clickhouse.NewDoubles(b.conn, directLogs))
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, n/2, b.count(t, "SELECT count() FROM logs WHERE _partition = -1"))
	require.Equal(t, n/2, b.count(t, "SELECT count() FROM logs WHERE _partition = 0"))
	require.Equal(t, n, b.count(t, "SELECT uniqExact(event_id) FROM logs"))
	require.Equal(t, resolution{rows: n / 2, doubt: n / 2}, b.resolve(t))
}

// many inserts rows of n events, of a thousand a second.
func (b bundle) many(t *testing.T, partition, n, from int) {
	t.Helper()
	id, offset := batch.TopicID{}, "1"
	if partition >= 0 {
		id, offset = topic, "number"
	}
	b.exec(t, fmt.Sprintf("INSERT INTO logs (timestamp, message, service, event_id, _topic, _topic_id, _partition, _offset) SELECT toDateTime64('2026-01-02 00:00:00', 6, 'UTC') + toIntervalMillisecond(number), 'm', toString(number %% 5),"+
		" toUUID(concat('01900000-0000-7000-8000-', lower(leftPad(hex(number), 12, '0')))), 't', '%s', %d, %s FROM numbers(%d, %d)", id, partition, offset, from, n))
}

func TestAHundredThousandDoublesGoInSeconds(t *testing.T) {
	b := setup(t)
	const n = 100_000
	b.many(t, 0, n, 0)
	b.many(t, -1, n, 0)
	began := time.Now()
	require.Equal(t, resolution{rows: n, doubt: n, removed: n}, b.resolve(t))
	took := time.Since(began)
	t.Logf("%d copies in %s", n, took)
	require.Less(t, took, time.Minute)
	require.Equal(t, 0, b.count(t, "SELECT count() FROM logs WHERE _partition = -1"))
	require.Equal(t, n, b.count(t, "SELECT uniqExact(event_id) FROM logs"))
	held, doubled := b.held(t, "logs", topic, batch.Range{Last: n})
	require.Equal(t, span(0, 0, n-1), held)
	require.Empty(t, doubled)
	require.LessOrEqual(t, b.count(t, "SELECT count() FROM system.mutations WHERE database = ?", b.cfg.Database), n/10_000)
}

func TestAMinuteWithMoreRowsThanOneQuestionTakesIsSearchedInParts(t *testing.T) {
	b := setup(t)
	const n = 600_000
	b.exec(t, fmt.Sprintf("INSERT INTO logs (timestamp, event_id, _topic, _partition, _offset) SELECT toDateTime64('2026-01-02 00:00:30', 6, 'UTC'),"+
		" toUUID(concat('01900000-0000-7000-8000-', lower(leftPad(hex(number), 12, '0')))), 't', -1, 0 FROM numbers(%d)", n))
	b.exec(t, "INSERT INTO logs (timestamp, event_id, _topic, _topic_id, _partition, _offset) SELECT timestamp, event_id, 't', '"+topic.String()+"', 1, rowNumberInAllBlocks() FROM logs WHERE cityHash64(event_id, 1) % 1000 = 0")
	b.exec(t, "INSERT INTO logs SELECT * FROM logs WHERE _partition = -1 AND cityHash64(event_id, 2) % 100000 = 0")
	b.many(t, -1, 10, 0) // in the minute before, and so a stretch of its own
	doubles, twice := b.count(t, "SELECT count() FROM logs WHERE _partition = -1 AND (timestamp, event_id) IN (SELECT timestamp, event_id FROM logs WHERE _partition = 1)"),
		b.count(t, "SELECT count() FROM (SELECT 1 FROM logs GROUP BY timestamp, event_id HAVING countIf(_partition = -1) > 1 AND countIf(_partition = 1) = 0)")
	require.Positive(t, doubles)
	require.Positive(t, twice)
	ss, err := clickhouse.NewDoubles(b.conn, directLogs).Stretches(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, ss, 1)
	require.Equal(t, 3, ss[0].Parts)
	rows := b.count(t, "SELECT count() FROM logs WHERE _partition = -1")
	r := b.resolve(t)
	require.EqualValues(t, rows, r.rows)
	require.EqualValues(t, doubles, r.removed)
	require.EqualValues(t, twice, r.twice)
	require.Len(t, r.events, twice)
	require.Equal(t, rows-doubles, b.count(t, "SELECT count() FROM logs WHERE _partition = -1"))
}

func TestAFewDirectRowsCostAFewGranules(t *testing.T) {
	b := setup(t)
	const n = 3_000_000
	b.many(t, 0, n, 0)
	b.exec(t, "OPTIMIZE TABLE logs FINAL")
	b.exec(t, "INSERT INTO logs (timestamp, service, event_id, _topic, _partition, _offset) SELECT timestamp, service, event_id, 't', -1, 1 FROM logs WHERE _offset IN (5, 1000000, 1000001, 2999999)")
	require.Equal(t, resolution{rows: 4, doubt: 4, removed: 4}, b.resolve(t))
	var read, bytes uint64
	const of = " FROM system.query_log WHERE type = 'QueryFinish' AND current_database = ? AND position(query, 'AS kafka') > 0 AND position(query, 'query_log') = 0 LIMIT 1"
	b.logged(t, &read, "SELECT read_rows"+of, b.cfg.Database)
	b.logged(t, &bytes, "SELECT read_bytes"+of, b.cfg.Database)
	t.Logf("%d rows, %d bytes", read, bytes)
	require.Less(t, bytes, uint64(n*4+4_000_000), "of all rows the column _partition only")
}

func TestWhoMayNotDeleteIsTold(t *testing.T) {
	b := setup(t)
	b.direct(t, "direct", doubt, 1, 1)
	b.brought(t, "brought", 0, 1, 1)
	d := clickhouse.NewDoubles(clickhousetest.Open(t, clickhousetest.Restricted(t, b.cfg, b.conn)), directLogs)
	_, err := resolve(t.Context(), d)
	require.Equal(t, "ACCESS_DENIED", failureOf(t, err).Name)
	require.Len(t, b.messages(t), 2)
	r, err := resolve(t.Context(), clickhouse.NewDoubles(b.conn, directLogs)) // who has the right
	require.NoError(t, err)
	require.EqualValues(t, 1, r.removed)
}
