package activities

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
)

// constrain adds a CHECK that refuses rows whose message begins with poison.
func (b *bench) constrain() {
	b.t.Helper()
	require.NoError(b.t, b.conn.Exec(b.ctx, "ALTER TABLE logs ADD CONSTRAINT no_poison CHECK NOT startsWith(message, 'poison')"))
}

// logs sends n records to partition 0; those of bad are poison.
func (b *bench) logs(n int, bad func(i int) bool) {
	b.t.Helper()
	for i := range n {
		word := "fine"
		if bad(i) {
			word = "poison"
		}
		b.send(&kgo.Record{Topic: topic, Partition: 0, Value: fmt.Appendf(nil, `{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"%s %d"}`, word, i)})
	}
	require.NoError(b.t, b.cl.Flush(b.ctx))
}

// part is a job over partition 0 with one block.
func (b *bench) part(last int64) Job {
	j := b.job(last)
	j.Ranges, j.Limits.BlockRecords = batch.Ranges{{Last: last}}, 100_000
	return j
}

// parts is how many active parts the table has.
func (b *bench) parts(table string) int {
	b.t.Helper()
	return b.count("SELECT count() FROM system.parts WHERE database = ? AND table = ? AND active", b.cfg.Database, table)
}

func TestOnePoisonRowAmongAHundredThousandIsFoundWithFewTrials(t *testing.T) {
	const n = 100_000
	b := setup(t)
	b.constrain()
	b.logs(n, func(i int) bool { return i == 70_123 })
	j := b.part(n - 1)

	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	_, err := run[Inserted](b, b.Insert, in)
	trouble := TroubleOf(err)
	require.Equal(t, []any{Rejected, 469, "VIOLATED_CONSTRAINT"}, []any{trouble.Class, trouble.Code, trouble.Name})
	require.EqualValues(t, n, trouble.Block)
	require.False(t, trouble.Progress.Silent, "the server has answered")
	taken, err := run[Taken](b, b.Taken, j)
	require.NoError(t, err)
	require.Zero(t, taken.Stored)

	found, err := run[Isolated](b, b.Isolate, IsolateInput{Job: j, Flood: n / 2})
	require.NoError(t, err)
	require.Equal(t, batch.Ranges{{First: 70_123, Last: 70_123}}, found.Bad)
	require.EqualValues(t, n, found.Through)
	require.LessOrEqual(t, float64(found.Trials), 2*math.Log2(n)+2)
	require.Zero(t, b.parts("logs"), "a search stores nothing")
	t.Logf("%d trials", found.Trials)

	good := in
	good.Turn, good.Ranges = 1, j.Ranges.Sub(found.Bad)
	out, err := run[Inserted](b, b.Insert, good)
	require.NoError(t, err)
	require.EqualValues(t, n-1, out.Stored)
	require.Equal(t, 1, b.parts("logs"))
	routed, err := run[Routed](b, b.DeadLetter, DeadLetterInput{Job: good.Job, Warrant: good.Warrant, Bad: found.Bad})
	require.NoError(t, err)
	require.Equal(t, Routed{Count: 1, Clean: true}, routed)
	require.Equal(t, 1, b.count(`SELECT count() FROM dead_letters WHERE _offset = 70123 AND class = 'rejected' AND reason = 'VIOLATED_CONSTRAINT' AND code = 469 AND message LIKE '%no_poison%'`))
	b.exact(n - 1)
}

func TestPoisonInOneOfAThousandIsFoundWithinAMinute(t *testing.T) {
	const n = 100_000
	b := setup(t)
	b.constrain()
	b.logs(n, func(i int) bool { return i%1000 == 500 })
	j := b.part(n - 1)
	began := time.Now()
	found, err := run[Isolated](b, b.Isolate, IsolateInput{Job: j, Flood: n / 2})
	require.NoError(t, err)
	require.EqualValues(t, 100, found.Bad.Len())
	require.EqualValues(t, n, found.Through)
	for _, r := range found.Bad {
		require.EqualValues(t, 500, r.First%1000)
	}
	good := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	good.Ranges = j.Ranges.Sub(found.Bad)
	_, err = run[Inserted](b, b.Insert, good)
	require.NoError(t, err)
	routed, err := run[Routed](b, b.DeadLetter, DeadLetterInput{Job: good.Job, Warrant: good.Warrant, Bad: found.Bad})
	require.NoError(t, err)
	require.EqualValues(t, 100, routed.Count)
	require.Less(t, time.Since(began), time.Minute)
	require.Equal(t, 1, b.parts("logs"), "one insert, no extra parts")
	require.Equal(t, 1, b.parts("dead_letters"))
	b.exact(n - 100)
	t.Logf("%d trials in %s", found.Trials, time.Since(began))
}

func TestASearchNamesSoManyRowsAndSaysHowFarItGot(t *testing.T) {
	const n = 2000
	b := setup(t)
	b.constrain()
	b.logs(n, func(i int) bool { return i%4 != 3 })
	j := b.part(n - 1)
	var bad batch.Ranges
	for rest := j.Ranges; rest.Len() > 0; {
		j.Ranges = rest
		found, err := run[Isolated](b, b.Isolate, IsolateInput{Job: j})
		require.NoError(t, err)
		require.LessOrEqual(t, found.Bad.Len(), int64(maxBad))
		require.Zero(t, found.Bad.Sub(rest.Slice(0, found.Through)).Len())
		bad, rest = append(bad, found.Bad...).Sort(), rest.Slice(found.Through, math.MaxInt64)
	}
	require.EqualValues(t, n*3/4, bad.Len())
	for o := range int64(n) {
		require.Equal(t, o%4 != 3, bad.Contains(0, o))
	}
}

func TestAFloodIsToldFromBadData(t *testing.T) {
	const n = 2000
	for name, c := range map[string]struct {
		bad   func(i int) bool
		flood bool
		most  int // trials
	}{
		"all":             {func(int) bool { return true }, true, 400},
		"a little over":   {func(i int) bool { return i%100 < 52 }, true, 5 * n},
		"a little under":  {func(i int) bool { return i%100 < 48 }, false, 5 * n},
		"the first tenth": {func(i int) bool { return i < n/10 }, false, 3 * n},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.constrain()
			b.logs(n, c.bad)
			found, err := run[Isolated](b, b.Isolate, IsolateInput{Job: b.part(n - 1), Flood: n / 2})
			require.NoError(t, err)
			require.Equal(t, c.flood, found.Flood)
			require.LessOrEqual(t, found.Trials, c.most)
			t.Logf("%d trials", found.Trials)
		})
	}
}

func TestWhatTheServerTakesByNowIsNotRouted(t *testing.T) {
	b := setup(t)
	b.constrain()
	b.logs(100, func(i int) bool { return i == 7 })
	j := b.part(99)
	warrant := b.look(j).Warrant
	require.NoError(t, b.conn.Exec(b.ctx, "ALTER TABLE logs DROP CONSTRAINT no_poison"))
	j.Ranges = nil
	_, err := run[Routed](b, b.DeadLetter, DeadLetterInput{Job: j, Warrant: warrant, Bad: batch.Ranges{{First: 7, Last: 7}}})
	require.Equal(t, Disagree, TroubleOf(err).Class)
	require.Zero(t, b.count("SELECT count() FROM dead_letters"))

	found, err := run[Isolated](b, b.Isolate, IsolateInput{Job: b.part(99), Flood: 50})
	require.NoError(t, err)
	require.True(t, found.Taken)
	require.Empty(t, found.Bad)
}

func TestAnOperatorsDecisionRoutesAllOfARange(t *testing.T) {
	b := setup(t)
	b.produce(20, 10)
	j := b.job(19)
	in := DeadLetterInput{Job: j, Warrant: b.look(j).Warrant, All: &Verdict{Reason: "UNKNOWN_TABLE", Code: 60, Message: "no logs"}}
	for range 2 {
		routed, err := run[Routed](b, b.DeadLetter, in)
		require.NoError(t, err)
		require.EqualValues(t, 40, routed.Count)
	}
	require.Equal(t, 36, b.count("SELECT count() FROM dead_letters WHERE class = 'decided' AND reason = 'UNKNOWN_TABLE' AND code = 60"))
	require.Equal(t, 4, b.count("SELECT count() FROM dead_letters WHERE class = 'undecodable'"))
	require.Equal(t, 40, b.count("SELECT uniqExact(_partition, _offset) FROM dead_letters"))
}

// A view that throws does so after the table took the block, whatever its code.
func TestAViewThatThrowsIsToldFromARefusedRow(t *testing.T) {
	b := setup(t)
	b.logs(1000, func(i int) bool { return i == 500 })
	for _, sql := range []string{
		"CREATE TABLE levels (level String, n UInt64) ENGINE = MergeTree ORDER BY level SETTINGS non_replicated_deduplication_window = 100000",
		"CREATE MATERIALIZED VIEW by_level TO levels AS SELECT level, toUInt64(1 + throwIf(startsWith(message, 'poison'))) AS n FROM logs",
	} {
		require.NoError(t, b.conn.Exec(b.ctx, sql))
	}
	j := b.part(999)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	_, err := run[Inserted](b, b.Insert, in)
	trouble := TroubleOf(err)
	require.Equal(t, 395, trouble.Code)
	taken, err := run[Taken](b, b.Taken, j)
	require.NoError(t, err)
	require.EqualValues(t, 1000, taken.Stored)
	require.Equal(t, []string{b.cfg.Database + ".by_level"}, taken.Views)
	require.Zero(t, b.count("SELECT count() FROM levels"))
	require.Equal(t, 1, b.metric("ingest_view_faults_total"))

	// mended, and sent again under its token
	require.NoError(t, b.conn.Exec(b.ctx, "ALTER TABLE by_level MODIFY QUERY SELECT level, toUInt64(1) AS n FROM logs"))
	in.From = in.From.After(trouble.Progress)
	out, err := run[Inserted](b, b.Insert, in)
	require.NoError(t, err)
	require.EqualValues(t, 1000, out.Stored)
	b.exact(1000)
	require.Equal(t, 1000, b.count("SELECT count() FROM levels"))

	// or filled by the statement that is printed
	require.NoError(t, b.conn.Exec(b.ctx, "TRUNCATE TABLE levels"))
	taken, err = run[Taken](b, b.Taken, j)
	require.NoError(t, err)
	require.NoError(t, b.conn.Exec(b.ctx, taken.Fill), taken.Fill)
	require.Equal(t, 1000, b.count("SELECT count() FROM levels"))
}
