package activities

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

// torn is a topic whose partition 1 was truncated to 100, with a row for each of 200
// offsets of both partitions, and some dead letters and notes.
func torn(t *testing.T) (*bench, AsideInput, batch.TopicID) {
	t.Helper()
	b := setup(t)
	in := AsideInput{Workflow: "g/t/x/9", Nonce: "n", Topic: topic, TopicID: b.id, Truncated: []batch.Truncation{{Partition: 1, End: 100, Planned: 200, Epoch: 3, Leader: 4}}}
	for p := range 2 {
		b.fill(p, 0, 200)
		for o := 205; o < 208; o++ {
			b.exec("INSERT INTO dead_letters (_topic, _topic_id, _partition, _offset, value, state) VALUES (?, ?, ?, ?, 'v', 'dead')", topic, b.id.String(), p, o-p*60)
		}
		b.exec("INSERT INTO ingest_exceptions (kind, _topic, _topic_id, _partition, first, last) VALUES ('lost', ?, ?, ?, 90, 109), ('skipped', ?, ?, ?, 120, 129)", topic, b.id.String(), p, topic, b.id.String(), p)
	}
	return b, in, batch.KeptID(b.id, in.Truncated[0])
}

// fill stores rows.
func (b *bench) fill(partition, first, n int) {
	b.t.Helper()
	b.exec(fmt.Sprintf("INSERT INTO logs (timestamp, level, message, _topic, _topic_id, _partition, _offset) SELECT now(), 'INFO', 'm', '%s', '%s', %d, number FROM numbers(%d, %d)", topic, b.id, partition, first, n))
}

func (b *bench) looked(table string, id batch.TopicID) (n int64) {
	b.t.Helper()
	present, doubled, err := b.Looker.Look(b.ctx, table, id, batch.Ranges{{Partition: 0, Last: 999}, {Partition: 1, Last: 999}})
	require.NoError(b.t, err)
	require.Zero(b.t, doubled)
	return present.Len()
}

// makeWay does what the workflow does, once.
func (b *bench) makeWay(in AsideInput) (Kept, int64) {
	b.t.Helper()
	plan, err := run[Aside](b, b.PlanAside, in)
	require.NoError(b.t, err)
	in.Truncated, in.Until = plan.Truncated, plan.Until
	letters, err := run[int64](b, b.KeepLetters, in)
	require.NoError(b.t, err)
	kept, err := run[Kept](b, b.KeepRows, in)
	require.NoError(b.t, err)
	return kept, letters
}

func TestLostRecordsGiveUpTheirCoordinatesAndKeepTheirData(t *testing.T) {
	b, in, kept := torn(t)
	b.exec("CREATE TABLE seen (n UInt64) ENGINE = MergeTree ORDER BY n")
	b.exec("CREATE MATERIALIZED VIEW counts TO seen AS SELECT count() AS n FROM logs")
	for range 2 { // it may run twice
		moved, letters := b.makeWay(in)
		require.Equal(t, Kept{Rows: 100}, moved)
		require.EqualValues(t, 3, letters)
		require.EqualValues(t, 300, b.looked("logs", b.id))
		require.EqualValues(t, 100, b.looked("logs", kept))
		require.EqualValues(t, 3, b.looked("dead_letters", b.id))
		require.EqualValues(t, 3, b.looked("dead_letters", kept))
	}
	require.Equal(t, 400, b.count("SELECT count() FROM logs"))
	require.Equal(t, 100, b.count("SELECT count() FROM logs WHERE _topic_id = ? AND _partition = 1 AND _offset >= 100 AND message = 'm'", kept.String()))
	require.Zero(t, b.count("SELECT count() FROM seen"), "a view sees no row a second time")
	notes := func(id batch.TopicID) int {
		return b.count("SELECT toUInt64(sum(last - first + 1)) FROM ingest_exceptions WHERE _topic_id = ?", id.String())
	}
	require.Equal(t, 30+10, notes(b.id), "of the other partition, and below the truncation")
	require.Equal(t, 10, notes(kept))
}

func TestWayIsMadeOnce(t *testing.T) {
	b, in, kept := torn(t)
	b.makeWay(in)
	require.NoError(t, func() error { _, err := run[struct{}](b, b.NoteAside, in); return err }())
	require.NoError(t, func() error { _, err := run[struct{}](b, b.NoteAside, in); return err }())
	require.Equal(t, 1, b.count("SELECT count() FROM ingest_exceptions WHERE kind = 'truncated' AND first = 100 AND last = 199"))
	b.fill(1, 100, 50) // new records
	plan, err := run[Aside](b, b.PlanAside, in)
	require.NoError(t, err)
	require.Empty(t, plan.Truncated, "they are not in the way")
	in.Truncated[0].Epoch, in.Truncated[0].Leader = 4, 5 // truncated again, to the same offset
	moved, _ := b.makeWay(in)
	require.EqualValues(t, 50, moved.Rows)
	require.EqualValues(t, 100, b.looked("logs", kept))
}

// Whether the rows at the offsets are of records that the later leader has nobody can tell: the plan log that knew is lost. They are
// moved and stored again, twice under two topic IDs: were they left, new records might count as stored.
func TestWayIsMadeAgainForTheSameLossUnderALaterLeader(t *testing.T) {
	b, in, kept := torn(t)
	b.makeWay(in)
	require.NoError(t, func() error { _, err := run[struct{}](b, b.NoteAside, in); return err }())
	b.fill(1, 100, 50)
	in.Truncated[0].Leader++
	moved, _ := b.makeWay(in)
	require.EqualValues(t, 50, moved.Rows)
	require.EqualValues(t, 100, b.looked("logs", kept))
	require.EqualValues(t, 50, b.looked("logs", batch.KeptID(b.id, in.Truncated[0])))
	require.EqualValues(t, 300, b.looked("logs", b.id))
}

// The server gets a statement of an attempt that nobody waits for any more when new
// records are there.
func TestAMoveThatArrivesLateTouchesNoNewRecord(t *testing.T) {
	b, in, _ := torn(t)
	plan, err := run[Aside](b, b.PlanAside, in)
	require.NoError(t, err)
	b.makeWay(in)
	b.exec("SELECT sleep(0.01)")
	b.fill(1, 100, 50)
	b.exec("INSERT INTO dead_letters (_topic, _topic_id, _partition, _offset, value) VALUES (?, ?, 1, 150, 'v')", topic, b.id.String())
	in.Until = plan.Until
	kept, err := run[Kept](b, b.KeepRows, in)
	require.NoError(t, err)
	require.EqualValues(t, 51, kept.Left)
	_, err = run[int64](b, b.KeepLetters, in)
	require.NoError(t, err)
	require.EqualValues(t, 350, b.looked("logs", b.id))
	require.EqualValues(t, 4, b.looked("dead_letters", b.id))
}

func TestLettersAreCopiedWhoseTokenIsKnownAndWhoseRowsAreNot(t *testing.T) {
	b, in, kept := torn(t)
	token := batch.TokenPrefix(in.Workflow, in.Nonce) + "letters/0/0"
	b.exec("INSERT INTO dead_letters (_topic, _offset) SETTINGS insert_deduplication_token = '" + token + "' VALUES ('other', 1)")
	b.makeWay(in)
	require.EqualValues(t, 3, b.looked("dead_letters", kept))
}

func TestThatWayWasMadeIsNotedWhereTheTokenIsKnownAndTheNoteIsNot(t *testing.T) {
	b, in, _ := torn(t)
	b.exec("INSERT INTO ingest_exceptions (kind) SETTINGS insert_deduplication_token = '" + batch.TokenPrefix(in.Workflow, in.Nonce) + "truncated' VALUES ('other')")
	_, err := run[struct{}](b, b.NoteAside, in)
	require.NoError(t, err)
	plan, err := run[Aside](b, b.PlanAside, in)
	require.NoError(t, err)
	require.Empty(t, plan.Truncated, "a second entry for the same loss moves nothing")
}

// A batch that an operator has reset notes again what has moved since: at these offsets are other records now.
func TestANoteThatWasMovedAsideIsNotWrittenAgain(t *testing.T) {
	b, in, kept := torn(t)
	n := NoteInput{Job: b.job(0), Kind: ExceptionLost, Reason: "test"}
	n.Ranges = batch.Ranges{{Partition: 1, First: 80, Last: 119}, {Partition: 1, First: 130, Last: 139}}
	_, err := run[any](b, b.Note, n)
	require.NoError(t, err)
	b.makeWay(in)
	_, err = run[any](b, b.Note, n)
	require.NoError(t, err)
	require.Equal(t, 2, b.count("SELECT count() FROM ingest_exceptions WHERE reason = 'test'"))
	require.Equal(t, 1, b.count("SELECT count() FROM ingest_exceptions WHERE reason = 'test' AND _topic_id = ? AND first = 80 AND last = 99", b.id.String()))
	require.Equal(t, 1, b.count("SELECT count() FROM ingest_exceptions WHERE reason = 'test' AND _topic_id = ? AND first = 130", kept.String()))
}

func TestAnAuditTellsOfRecordsThatAreKeptAsideAndMissesNewOnes(t *testing.T) {
	b := setup(t)
	b.produce(100, 1000)
	b.fill(1, 0, 90)
	in := AsideInput{Workflow: "g/t/x/9", Nonce: "n", Topic: topic, TopicID: b.id, Truncated: []batch.Truncation{{Partition: 1, End: 80, Planned: 200}}}
	_, err := run[struct{}](b, b.NoteAside, in)
	require.NoError(t, err)
	a := b.audit(batch.Range{Partition: 1, Last: 99})
	require.EqualValues(t, 20, a.Truncated)
	require.EqualValues(t, 10, a.Gaps.Offsets, "the note explains no absence")
}
