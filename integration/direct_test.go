package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
)

// The event with a number has its ID, and its time: the same on both ways.
const (
	eventID   = "01900000-0000-7000-8000-%012x"
	eventTime = 1767312000000 // milliseconds, and one more for each event
)

// direct stores events first … last-1 as a client does that ends in doubt, or while Kafka is away.
func (s *scene) direct(first, last int, doubt bool) {
	s.t.Helper()
	require.NoError(s.t, s.DB.Exec(s.ctx, fmt.Sprintf("INSERT INTO logs (timestamp, level, message, event_id, _topic, _partition, _offset, _kafka_timestamp) SELECT fromUnixTimestamp64Milli(%d + number), 'INFO', 'direct',"+
		" toUUID(concat('01900000-0000-7000-8000-', lower(leftPad(hex(number), 12, '0')))), '%s', -1, %t, now64(3) FROM numbers(%d, %d)", eventTime, load.Logs, doubt, first, last-first)))
}

// brought sends these events to Kafka.
func (s *scene) brought(first, last int) {
	s.t.Helper()
	for n := first; n < last; n++ {
		rec := &kgo.Record{Topic: load.Logs, Value: fmt.Appendf(nil, `{"timestamp":%d,"level":"INFO","message":"brought","event_id":"`+eventID+`"}`, eventTime+n, n)}
		s.Client.Produce(s.ctx, rec, func(_ *kgo.Record, err error) {
			if err != nil {
				s.t.Error(err)
			}
		})
	}
	require.NoError(s.t, s.Client.Flush(s.ctx))
	s.sent.Good.Add(int64(last - first))
}

// events requires that each of n events is stored once, and how many of the rows came directly.
func (s *scene) events(n, direct int64) {
	s.t.Helper()
	require.Equal(s.t, n, s.count("SELECT uniqExact(event_id) FROM logs"))
	require.Equal(s.t, n, s.count("SELECT count() FROM logs"))
	require.Equal(s.t, direct, s.count("SELECT count() FROM logs WHERE _partition = -1"))
}

func TestEveryEventIsStoredOnceAfterAnAuditWhicheverWayItCame(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ready()
	const n = 60_000
	s.direct(0, n/2, true)
	s.direct(n/2, n-10_000, false)
	s.brought(0, 20_000)
	s.brought(n-10_000, n)
	stored := func() {
		require.NoError(t, s.Until(s.ctx, "wait for rows of Kafka's", func(context.Context) (bool, string) {
			rows := s.count("SELECT count() FROM logs WHERE _partition >= 0")
			return rows == s.sent.Good.Load(), fmt.Sprint(rows)
		}))
		require.NoError(t, s.Marked(s.ctx, load.Logs))
	}
	stored()
	p, err := s.Starter("audit", "--json", "--topic", load.Logs)
	require.NoError(t, err)
	require.NoError(t, s.AwaitLog(s.ctx, p, "audit "))
	require.NoError(t, s.Until(s.ctx, "wait for a removal", func(context.Context) (bool, string) {
		left := s.count("SELECT count() FROM logs WHERE _partition = -1")
		return left < n-10_000, fmt.Sprint(left)
	}))
	s.worker.Kill() // between two removals, most likely
	require.NoError(t, s.worker.Restart())
	a := s.auditEnd(p, 0)
	require.Equal(t, "clean", a.Verdict)
	require.LessOrEqual(t, a.Direct.Removed, int64(20_000))
	require.EqualValues(t, 30_000, a.Direct.Rows-a.Direct.Removed)
	require.EqualValues(t, 30_000, a.Stored)
	s.events(n, 30_000)

	s.brought(20_000, 25_000) // Kafka was late with these
	stored()
	for _, removed := range []int64{5000, 0} {
		a = s.audit(0)
		require.Equal(t, removed, a.Direct.Removed)
		require.Zero(t, a.Direct.Twice)
		s.events(n, 25_000)
	}
	require.EqualValues(t, 35_000, a.Stored)
	require.EqualValues(t, 25_000, a.Direct.Rows)
	require.EqualValues(t, 5000, a.Direct.Doubt)

	s.direct(29_999, 30_000, true)
	a = s.audit(1, "--from", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	require.EqualValues(t, 1, a.Direct.Twice)
	require.Equal(t, "not clean", a.Verdict)
}
