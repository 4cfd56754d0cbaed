package activities

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/record"
)

// dead puts n records of partition 0 among the dead letters, as refused ones; those for which bad says so cannot be decoded.
func (b *bench) dead(n int, bad func(i int) bool) {
	b.t.Helper()
	for i := range n {
		value := fmt.Sprintf(`{"timestamp":"2026-%02d-02T03:04:05Z","level":"INFO","message":"record %d"}`, 1+i%2, i)
		if bad(i) {
			value = "not json"
		}
		require.NoError(b.t, b.conn.Exec(b.ctx, "INSERT INTO dead_letters (_topic, _topic_id, _partition, _offset, _kafka_timestamp, value, class, reason, message) VALUES (?, ?, 0, ?, 1, ?, 'rejected', 'VIOLATED_CONSTRAINT', 'old')",
			topic, b.id.String(), int64(i), value))
	}
}

func never(int) bool { return false }

// redriveJob is the job of a redrive's block.
func (b *bench) redriveJob(ranges batch.Ranges) Job {
	return Job{Workflow: "g/t/redrive", Nonce: "abc", Topic: topic, TopicID: b.id, Letters: true, Limits: batch.Limits{BlockRecords: 1 << 40, BlockBytes: 64 << 20}, Ranges: ranges}
}

func TestPickAnswersEveryDeadLetterOnceInOrder(t *testing.T) {
	b := setup(t)
	b.dead(50, never)
	require.NoError(t, b.conn.Exec(b.ctx, "INSERT INTO dead_letters (_topic, _topic_id, _partition, _offset, reason) VALUES (?, ?, 3, 7, 'empty'), (?, '00000000-0000-0000-0000-000000000001', 0, 1, 'empty'), ('other', ?, 0, 9, 'empty')",
		topic, b.id.String(), topic, b.id.String()))
	require.NoError(t, b.conn.Exec(b.ctx, "ALTER TABLE dead_letters UPDATE state = 'redriven' WHERE _offset = 20 SETTINGS mutations_sync = 1"))
	got := map[string]int{}
	in := PickInput{Letters: Letters{Topic: topic}, Most: 7}
	for range 100 {
		p, err := run[Picked](b, b.Pick, in)
		require.NoError(t, err)
		if len(p.Ranges) == 0 {
			break
		}
		require.LessOrEqual(t, p.Ranges.Len(), int64(7))
		for _, r := range p.Ranges {
			for o := r.First; o <= r.Last; o++ {
				got[fmt.Sprint(p.TopicID, r.Partition, o)]++
			}
		}
		in.After = &p.Last
	}
	require.Len(t, got, 51)
	for at, n := range got {
		require.Equal(t, 1, n, at)
	}
	few, err := run[Picked](b, b.Pick, PickInput{Letters: Letters{Topic: topic, Reason: "empty"}, Most: 100})
	require.NoError(t, err)
	require.EqualValues(t, 1, few.Ranges.Len(), "of one topic ID at a time")
	none, err := run[Picked](b, b.Pick, PickInput{Letters: Letters{Topic: topic, Until: time.Now().Add(-time.Hour)}, Most: 100})
	require.NoError(t, err)
	require.Empty(t, none.Ranges)
}

func TestARedrivenLetterIsARowUnderItsOwnCoordinatesHoweverOftenItIsSent(t *testing.T) {
	b := setup(t)
	b.dead(100, func(i int) bool { return i%10 == 3 })
	j := b.redriveJob(batch.Ranges{{Last: 99}})
	require.NoError(t, b.conn.Exec(b.ctx, "INSERT INTO dead_letters SELECT * FROM dead_letters WHERE _offset = 8")) // by hand: it is one record
	seen := b.look(j)
	require.EqualValues(t, 100, seen.Absent.Len(), "that they are dead letters does not count")
	in := InsertInput{Job: j, Warrant: seen.Warrant}
	for range 3 {
		out, err := run[Inserted](b, b.Insert, in)
		require.NoError(t, err)
		require.EqualValues(t, 90, out.Stored)
		require.EqualValues(t, 10, out.Rejected)
	}
	b.exact(90)
	out, err := run[Inserted](b, b.Insert, in)
	require.NoError(t, err)
	for range 2 {
		routed, err := run[Routed](b, b.DeadLetter, DeadLetterInput{Job: j, Warrant: seen.Warrant, Rejected: out.Rejected, Faults: out.Faults})
		require.NoError(t, err)
		require.EqualValues(t, 10, routed.Count)
		n, err := run[int64](b, b.Mark, j)
		require.NoError(t, err)
		require.EqualValues(t, 90, n)
	}
	require.Equal(t, 100, b.count("SELECT uniqExact(_offset) FROM dead_letters"))
	require.Equal(t, 90, b.count("SELECT uniqExact(_offset) FROM dead_letters WHERE state = 'redriven' AND reason = 'VIOLATED_CONSTRAINT' AND _offset % 10 != 3"))
	require.Equal(t, 10, b.count("SELECT count() FROM dead_letters WHERE state = 'dead' AND class = 'undecodable' AND reason = 'malformed_json' AND code = 0 AND message LIKE 'malformed_json at byte%' AND _offset % 10 = 3"))
	require.Equal(t, 90, b.count("SELECT count() FROM logs WHERE message = concat('record ', toString(_offset))"))
	ordinary := b.job(99)
	ordinary.Ranges = j.Ranges
	require.Empty(t, b.look(ordinary).Absent, "a replay sends none of them")

	require.NoError(t, b.conn.Exec(b.ctx, "DELETE FROM logs WHERE _offset IN (4, 5)"))
	require.Equal(t, batch.Ranges{{First: 4, Last: 5}}, b.look(ordinary).Absent, "but for rows that were erased since")
}

func TestWhatTheServerRefusesAgainStaysDeadWithItsReason(t *testing.T) {
	b := setup(t)
	b.dead(20, never)
	require.NoError(t, b.conn.Exec(b.ctx, "ALTER TABLE logs ADD CONSTRAINT late CHECK message != 'record 5'"))
	j := b.redriveJob(batch.Ranges{{Last: 19}})
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	_, err := run[Inserted](b, b.Insert, in)
	require.Equal(t, Rejected, TroubleOf(err).Class)
	found, err := run[Isolated](b, b.Isolate, IsolateInput{Job: j})
	require.NoError(t, err)
	require.Equal(t, batch.Ranges{{First: 5, Last: 5}}, found.Bad)
	good := in
	good.Turn, good.Ranges = 1, j.Ranges.Sub(found.Bad)
	_, err = run[Inserted](b, b.Insert, good)
	require.NoError(t, err)
	routed, err := run[Routed](b, b.DeadLetter, DeadLetterInput{Job: good.Job, Warrant: good.Warrant, Bad: found.Bad})
	require.NoError(t, err)
	require.EqualValues(t, 1, routed.Count)
	require.Equal(t, 1, b.count("SELECT count() FROM dead_letters WHERE _offset = 5 AND state = 'dead' AND class = 'rejected' AND code = 469 AND message LIKE '%late%'"))
	require.Equal(t, 20, b.count("SELECT count() FROM dead_letters"))
	b.exact(19)
}

func TestANameWithAQuoteIsOnlyAName(t *testing.T) {
	b := setup(t)
	b.Kinds = map[string]record.Kind{`t'\`: record.Log}
	j := b.redriveJob(batch.Ranges{{Last: 1}, {First: 5, Last: 5}})
	j.Topic = `t'\`
	_, err := run[int64](b, b.Mark, j)
	require.NoError(t, err)
	require.NoError(t, b.alter(b.ctx, deadLetters, "UPDATE state = 'redriven' WHERE "+coordinates(j.Topic, j.TopicID, j.Ranges)))
}

// A constraint's message has the value in it that it refuses.
func TestTheReasonOfALargeRecordIsShort(t *testing.T) {
	b := setup(t)
	b.constrain()
	b.send(&kgo.Record{Topic: topic, Partition: 0, Value: fmt.Appendf(nil, `{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"poison %s"}`, bytes.Repeat([]byte("x"), 800_000))})
	require.NoError(t, b.cl.Flush(b.ctx))
	j := b.part(0)
	w := b.look(j).Warrant
	j.Ranges = nil
	_, err := run[Routed](b, b.DeadLetter, DeadLetterInput{Job: j, Warrant: w, Bad: batch.Ranges{{}}})
	require.NoError(t, err)
	require.Less(t, b.count("SELECT max(length(message)) FROM dead_letters"), 1000)
}

func TestALookAtManyRunsOfDeadLetters(t *testing.T) {
	b := setup(t)
	const n = 99_999
	require.NoError(t, b.conn.Exec(b.ctx, fmt.Sprintf("INSERT INTO dead_letters (_topic, _topic_id, _partition, _offset, value, state) SELECT '%s', '%s', 0, number, '', if(number = 9, 'redriven', 'dead') FROM numbers(%d) WHERE number %% 3 < 2", topic, b.id, n)))
	began := time.Now()
	seen := b.look(b.part(n - 1))
	require.Less(t, time.Since(began), lookTime)
	require.EqualValues(t, n/3*2-1, seen.Dead)
}

// lookTime is far less than what a workflow gives a look.
const lookTime = 15 * time.Second

func TestChangesThatDoNotEndAreNotPiledUp(t *testing.T) {
	b := setup(t)
	b.dead(3, never)
	require.NoError(t, b.conn.Exec(b.ctx, "SYSTEM STOP MERGES dead_letters"))
	for range 2 * maxMutations {
		ctx, cancel := context.WithTimeout(b.ctx, 500*time.Millisecond)
		require.Error(t, b.alter(ctx, deadLetters, "UPDATE state = 'redriven' WHERE state = 'dead'"))
		cancel()
	}
	require.LessOrEqual(t, b.count("SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = 'dead_letters' AND NOT is_done"), maxMutations+1)
}
