package activities

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
)

func TestInsertStoresGoodRecordsOnceHoweverOftenItRuns(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	in, out := b.insert(b.job(299))
	require.True(t, out.Clean)
	require.False(t, out.Doubt)
	require.EqualValues(t, 600, out.Done)
	require.EqualValues(t, 588, out.Stored)
	require.EqualValues(t, 12, out.Rejected)
	require.Zero(t, out.Holes)
	b.exact(588)

	again, err := run[Inserted](b, b.Insert, in)
	require.NoError(t, err)
	require.Equal(t, out.Progress, again.Progress)
	b.exact(588)
}

func TestInsertsOfOneJobAtOnceStoreItOnce(t *testing.T) {
	b := setup(t)
	b.produce(1000, 10)
	j := b.job(999)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = run[Inserted](b, b.Insert, in) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	b.exact(1800)
}

// A server that was killed may know a token without the rows, and takes nothing under it any more. The look of the next turn finds
// them absent, and that turn stores them.
func TestALaterTurnStoresWhatTheServerHasTheTokenOfOnly(t *testing.T) {
	b := setup(t)
	b.produce(100, 1000)
	j := b.job(99)
	b.insert(j)
	b.exec("DELETE FROM logs WHERE true")
	b.insert(j)
	b.exact(0)
	j.Turn = 1
	b.insert(j)
	b.exact(200)
}

func TestInsertGoesOnBehindWhatWasAcknowledged(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	j := b.job(299)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	out, err := run[Inserted](b, b.Insert, in, Progress{Done: 200, Stored: 196, Rejected: 4, Doubt: true})
	require.NoError(t, err)
	require.EqualValues(t, 600, out.Done)
	require.EqualValues(t, 588, out.Stored)
	b.exact(392) // the first two blocks were not sent
	require.Equal(t, 0, b.count("SELECT count() FROM logs WHERE _partition = 0 AND _offset < 200"))

	_, err = run[Inserted](b, b.Insert, in) // by a worker that knows nothing of it
	require.NoError(t, err)
	b.exact(588)
}

func TestBlocksAreCutByBytesTheSameEveryTime(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	j := b.job(299)
	j.Limits.BlockBytes = 2500 // about 30 records
	in, out := b.insert(j)
	b.exact(588)
	_, err := run[Inserted](b, b.Insert, in)
	require.NoError(t, err)
	half := in
	half.From = Progress{Done: 100}
	_, err = run[Inserted](b, b.Insert, half) // cut alike behind a block's end, too
	require.NoError(t, err)
	b.exact(588)
	require.EqualValues(t, 588, out.Stored)

	sent, tokens := b.inserts(j)
	require.Greater(t, tokens, 15)
	require.Greater(t, sent, 2*tokens)
	require.Less(t, sent, 3*tokens)
}

func TestLookFindsExactlyWhatIsAbsent(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	part := b.job(299)
	part.Ranges = batch.Ranges{{Partition: 0, First: 20, Last: 119}, {Partition: 1, First: 299, Last: 299}}
	b.insert(part)
	seen := b.look(b.job(299))
	require.True(t, seen.Complete)
	require.EqualValues(t, 98, seen.Stored) // 300 ranges' broken ones are in no table yet
	require.EqualValues(t, 600-98, seen.Absent.Len())
	require.True(t, seen.Absent.Contains(0, 49), "a record that was rejected is absent until it is dead-lettered")
	require.False(t, seen.Absent.Contains(0, 48))

	_, out := b.insert(b.job(299))
	require.EqualValues(t, 588-98, out.Stored)
	b.exact(588)
}

func TestInsertActsOnNoLookThatIsOldOrOfAnotherRun(t *testing.T) {
	b := setup(t)
	b.produce(10, 100)
	j := b.job(9)
	seen := b.look(j)
	for name, w := range map[string]Warrant{
		"LOOK_EXPIRED":        {At: seen.Warrant.At.Add(-LookValid - time.Second), Run: seen.Warrant.Run},
		"LOOK_OF_ANOTHER_RUN": {At: seen.Warrant.At, Run: "another"},
	} {
		_, err := run[Inserted](b, b.Insert, InsertInput{Job: j, Warrant: w})
		trouble := TroubleOf(err)
		require.Equal(t, Expired, trouble.Class)
		require.Equal(t, name, trouble.Name)
		require.False(t, trouble.Progress.Doubt, "nothing was sent")
	}
	b.exact(0)
}

func TestInsertTellsWhatKafkaHasDeleted(t *testing.T) {
	b := setup(t)
	b.produce(300, 100)
	os := kadm.Offsets{}
	os.AddOffset(topic, 1, 40, -1)
	_, err := b.adm.DeleteRecords(b.ctx, os)
	require.NoError(t, err)
	j := b.job(299)
	_, err = run[Inserted](b, b.Insert, InsertInput{Job: j, Warrant: b.look(j).Warrant})
	trouble := TroubleOf(err)
	require.Equal(t, Lost, trouble.Class)
	require.Equal(t, &Gone{Partition: 1, Start: 40}, trouble.Gone)
	require.EqualValues(t, 300, trouble.Progress.Done)
	b.exact(297) // of the other partition
}

// What took the offsets is another batch's, of a later entry.
func TestInsertDoesNotStoreWhatTookTheOffsetsOfItsRecords(t *testing.T) {
	b := setup(t)
	b.produce(100, 1000)
	fake := b.c.Fake(t)
	require.NoError(t, fake.MoveTopicPartition(topic, 1, fake.LeaderFor(topic, 1)))
	b.produce(100, 1000) // of partition 1 in a new epoch
	planned := batch.Batch{Next: []batch.Position{{Partition: 0, Offset: 150}, {Partition: 1, Offset: 150}}}
	j := b.job(149)
	j.Epochs = EpochsOf(planned.Next, j.Ranges)
	require.Equal(t, map[int32]int32{0: 0, 1: 0}, j.Epochs)
	_, err := run[Inserted](b, b.Insert, InsertInput{Job: j, Warrant: b.look(j).Warrant})
	trouble := TroubleOf(err)
	require.Equal(t, Lost, trouble.Class)
	require.Equal(t, &Gone{Partition: 1, Truncated: true, From: 100}, trouble.Gone)
	require.Zero(t, b.count("SELECT count() FROM logs WHERE _partition = 1 AND _offset >= 100"))
	require.Equal(t, 150, b.count("SELECT count() FROM logs WHERE _partition = 0"))
}

func TestEpochsAreOfThePartitionsThatAreKnown(t *testing.T) {
	next := []batch.Position{{Partition: 0, Offset: 10, Epoch: 3}, {Partition: 1, Offset: 10, Epoch: -1}, {Partition: 2, Offset: 5, Epoch: 3}}
	ranges := batch.Ranges{{Partition: 0, Last: 9}, {Partition: 1, Last: 9}, {Partition: 2, Last: 9}, {Partition: 3, Last: 9}}
	require.Equal(t, map[int32]int32{0: 3}, EpochsOf(next, ranges))
}

func TestAMissingTableIsBlockedAndNothingIsDead(t *testing.T) {
	b := setup(t)
	b.produce(10, 100)
	j := b.job(9)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	require.NoError(t, b.conn.Exec(b.ctx, "DROP TABLE logs SYNC"))
	_, err := run[Inserted](b, b.Insert, in)
	require.Equal(t, Blocked, TroubleOf(err).Class)
	require.Equal(t, "UNKNOWN_TABLE", TroubleOf(err).Name)
	_, err = run[Seen](b, b.Look, j)
	require.Equal(t, "UNKNOWN_TABLE", TroubleOf(err).Name)
	require.NoError(t, b.conn.Exec(b.ctx, "DROP TABLE ingest_exceptions SYNC"))
	_, err = run[any](b, b.Note, NoteInput{Job: j, Kind: ExceptionLost, Reason: "test"})
	require.Equal(t, Blocked, TroubleOf(err).Class)
	require.Equal(t, "UNKNOWN_TABLE", TroubleOf(err).Name)
	require.Equal(t, 0, b.count("SELECT count() FROM dead_letters"))
}

func TestNotesAreTakenOnce(t *testing.T) {
	b := setup(t)
	j := b.job(9)
	for range 3 {
		_, err := run[any](b, b.Note, NoteInput{Job: j, Kind: ExceptionLost, Reason: "test"})
		require.NoError(t, err)
	}
	require.Equal(t, 2, b.count("SELECT count() FROM ingest_exceptions"))
	require.Equal(t, 20, b.count("SELECT toUInt64(sum(last - first + 1)) FROM ingest_exceptions WHERE kind = 'lost' AND reason = 'test'"))
}

// A server that was killed may know a token without the rows. Nothing else would tell an audit why a record that was skipped is absent.
func TestANoteIsWrittenWhoseTokenIsKnownAndWhoseRowsAreNot(t *testing.T) {
	b := setup(t)
	in := NoteInput{Job: b.job(9), Kind: ExceptionSkipped, Reason: "test"}
	b.exec("INSERT INTO ingest_exceptions (kind) SETTINGS insert_deduplication_token = '" + in.token(in.Ranges) + "/skipped' VALUES ('other')")
	for range 2 {
		_, err := run[any](b, b.Note, in)
		require.NoError(t, err)
	}
	require.Equal(t, 20, b.count("SELECT toUInt64(sum(last - first + 1)) FROM ingest_exceptions WHERE kind = 'skipped' AND reason = 'test'"))
}

func TestATroublesMessageStaysSmall(t *testing.T) {
	b := setup(t)
	b.send(&kgo.Record{Topic: topic, Value: []byte("x")})
	require.NoError(t, b.cl.Flush(b.ctx))
	j := b.job(0)
	j.Topic = strings.Repeat("long", 1000)
	_, err := run[Seen](b, b.Look, j)
	require.Equal(t, Blocked, TroubleOf(err).Class)
	require.Less(t, len(TroubleOf(err).Message), 1024)
}

// deaf is a Temporal that takes no heartbeat.
type deaf struct{}

func (deaf) RecordActivityHeartbeat(context.Context, []byte, ...any) error {
	return errors.New("out of reach")
}

func TestNothingIsSentBeforeTemporalKnowsOfTheDoubt(t *testing.T) {
	b := setup(t)
	b.produce(100, 50)
	in, out := b.insert(b.job(49))
	b.Temporal = deaf{}
	_, err := run[Routed](b, b.DeadLetter, letter(in, out))
	require.Equal(t, "HEARTBEAT_LOST", TroubleOf(err).Name)
	require.False(t, TroubleOf(err).Progress.Doubt)
	in.Ranges = batch.Ranges{{Partition: 0, First: 50, Last: 99}}
	_, err = run[Inserted](b, b.Insert, in)
	require.Equal(t, "HEARTBEAT_LOST", TroubleOf(err).Name)
	require.Equal(t, Outage, TroubleOf(err).Class)
	require.False(t, TroubleOf(err).Progress.Doubt)
	b.exact(98)
	require.Equal(t, 0, b.count("SELECT count() FROM dead_letters"))
}
