package clickhouse_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
)

// model is the rows of one topic, by partition and offset.
type model map[batch.Range]int

func at(p int32, o int64) batch.Range { return batch.Range{Partition: p, First: o, Last: o} }

// present is what a look at the ranges has to find.
func (m model) present(rs batch.Ranges) batch.Ranges {
	var out batch.Ranges
	for c, n := range m {
		if n > 0 && rs.Contains(c.Partition, c.First) {
			out = append(out, c)
		}
	}
	return out.Sort()
}

func (b bundle) look(t *testing.T, table string, id batch.TopicID, rs batch.Ranges) (batch.Ranges, int64) {
	t.Helper()
	present, doubled, err := b.looker.Look(t.Context(), table, id, rs)
	require.NoError(t, err)
	return present, doubled
}

// randomRanges have edges in the middle of words and buckets, and on them.
func randomRanges(r *rand.Rand, n int, size int64) batch.Ranges {
	var out batch.Ranges
	for range n {
		first := r.Int64N(6000)
		if r.IntN(3) == 0 {
			first = first / 64 * 64
		}
		out = append(out, batch.Range{Partition: int32(r.IntN(3)) * 1000, First: first, Last: first + r.Int64N(size)})
	}
	return out.Sort()
}

func TestLookIsExactWhateverBecameOfTheParts(t *testing.T) {
	b := setup(t)
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 1))
		id := batch.TopicID{15: byte(seed)}
		rows := model{}
		for n := range 1 + r.IntN(4) { // parts
			rs := randomRanges(r, 1+r.IntN(6), 1+r.Int64N(900))
			for _, x := range rs {
				for o := x.First; o <= x.Last; o++ {
					rows[at(x.Partition, o)] = 1
				}
			}
			// The same offsets may be in several parts: duplicates.
			require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(id, rs, 1+r.IntN(2)), fmt.Sprint(seed, "/", n)))
		}
		where := fmt.Sprintf(" WHERE _topic_id = '%s'", id)
		switch r.IntN(4) {
		case 0:
			b.exec(t, "OPTIMIZE TABLE logs FINAL")
		case 1:
			cut := r.Int64N(6000)
			b.exec(t, fmt.Sprintf("DELETE FROM logs%s AND _offset BETWEEN %d AND %d", where, cut, cut+700))
			for c := range rows {
				if c.First >= cut && c.First <= cut+700 {
					delete(rows, c)
				}
			}
		}
		all := batch.Ranges{{Partition: 0, First: 0, Last: 8000}, {Partition: 1000, First: 0, Last: 8000}, {Partition: 2000, First: 0, Last: 8000}}
		present, doubled := b.look(t, "logs", id, all)
		require.Equal(t, rows.present(all), present, "seed %d", seed)
		require.EqualValues(t, b.count(t, "SELECT toUInt64(count() - uniqExact(_partition, _offset)) FROM logs"+where), doubled, "seed %d", seed)
		for range 6 {
			rs := randomRanges(r, 1+r.IntN(40), 1+r.Int64N(300))
			present, _ := b.look(t, "logs", id, rs)
			require.Equal(t, rows.present(rs), present, "seed %d, %v", seed, rs)
		}
		nobody, _ := b.look(t, "logs", batch.TopicID{0: 1, 15: byte(seed)}, all)
		require.Empty(t, nobody)
	}
}

func TestLookReadsTheProjectionsAlone(t *testing.T) {
	b := setup(t)
	for n := range int64(4) {
		require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(topic, span(0, n*20_000, n*20_000+19_999), 2), fmt.Sprint(n)))
	}
	present, _ := b.look(t, "logs", topic, batch.Ranges{{Partition: 0, First: 70_000, Last: 90_000}, {Partition: 1, First: 0, Last: 10}})
	require.Equal(t, span(0, 70_000, 79_999), present)
	for _, c := range []struct{ projection, column string }{{"by_bucket", "bucket"}, {"by_word", "word"}} {
		var used []string
		b.logged(t, &used, "SELECT projections FROM system.query_log WHERE type = 'QueryFinish' AND current_database = ? AND position(query, ?) > 0 AND position(query, 'query_log') = 0 ORDER BY event_time_microseconds DESC LIMIT 1",
			b.cfg.Database, "AS "+c.column)
		require.Equal(t, []string{b.cfg.Database + ".logs." + c.projection}, used)
	}
	var read uint64
	b.logged(t, &read, "SELECT max(read_rows) FROM system.query_log WHERE type = 'QueryFinish' AND query_kind = 'Select' AND current_database = ? AND position(query, 'GROUP BY _topic_id') > 0 AND position(query, 'query_log') = 0 HAVING count() >= 2", b.cfg.Database)
	require.Less(t, read, uint64(3000), "the table has 80,000 rows")
}

func TestAbsentIsProvenByOneQuestion(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(topic, span(0, 1000, 1099), 1), "a"))
	// Beside what is there, in the same bucket.
	present, doubled := b.look(t, "logs", topic, batch.Ranges{{Partition: 0, First: 900, Last: 999}, {Partition: 0, First: 1100, Last: 1200}})
	require.Empty(t, present)
	require.Zero(t, doubled)
	var n uint64
	b.logged(t, &n, "SELECT count() FROM system.query_log WHERE type = 'QueryFinish' AND query_kind = 'Select' AND current_database = ? AND position(query, 'GROUP BY _topic_id') > 0 AND position(query, 'query_log') = 0 HAVING count() > 0", b.cfg.Database)
	require.Equal(t, uint64(1), n)
}

func TestLookAsksInPiecesWhenThereIsMuch(t *testing.T) {
	b := setup(t)
	var rs batch.Ranges // 10,000 words, and as many buckets of 500 partitions
	for p := range int32(500) {
		for n := range int64(20) {
			rs = append(rs, batch.Range{Partition: p, First: n * 2000, Last: n*2000 + 1})
		}
	}
	require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(topic, rs, 1), "a"))
	wide := slices.Clone(rs)
	for i := range wide {
		wide[i].Last += 60
	}
	present, doubled := b.look(t, "logs", topic, wide)
	require.Equal(t, rs, present)
	require.Zero(t, doubled)
}

func TestLookSeesDeadLettersWhoseStateHasChanged(t *testing.T) {
	b := setup(t)
	in := rowsOf(topic, span(0, 0, 999), 1)[1:] // dead_letters has no timestamp
	require.NoError(t, b.inserter.Insert(t.Context(), "dead_letters", in, "a"))
	for range 2 { // safe to run twice
		b.exec(t, "ALTER TABLE dead_letters UPDATE state = 'redriven' WHERE _topic_id = '"+topic.String()+"' AND _offset BETWEEN 10 AND 19 SETTINGS mutations_sync = 1")
	}
	present, doubled := b.look(t, "dead_letters", topic, span(0, 0, 5000))
	require.Equal(t, span(0, 0, 999), present)
	require.Zero(t, doubled)
	require.Equal(t, 10, b.count(t, "SELECT count() FROM dead_letters WHERE state = 'redriven'"))
}

func TestLookOfExpiredRowsFindsThemAbsent(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(topic, span(0, 0, 1999), 1), "a"))
	b.exec(t, "ALTER TABLE logs MODIFY TTL toDateTime(timestamp) + INTERVAL 100 YEAR DELETE WHERE _offset < 0")
	b.exec(t, "ALTER TABLE logs MODIFY TTL toDateTime(timestamp) + INTERVAL 1 DAY DELETE WHERE _offset % 4 = 3")
	b.exec(t, "ALTER TABLE logs MATERIALIZE TTL SETTINGS mutations_sync = 1")
	require.Equal(t, 1500, b.count(t, "SELECT count() FROM logs"))
	present, doubled := b.look(t, "logs", topic, span(0, 0, 7))
	require.Equal(t, batch.Ranges{{Partition: 0, First: 0, Last: 2}, {Partition: 0, First: 4, Last: 6}}, present)
	require.Zero(t, doubled)
}

func TestLookIntoAMissingTableIsBlocked(t *testing.T) {
	b := setup(t)
	_, _, err := b.looker.Look(t.Context(), "nowhere", topic, span(0, 0, 9))
	require.Equal(t, "UNKNOWN_TABLE", failureOf(t, err).Name)
	present, _, err := b.looker.Look(t.Context(), "nowhere", topic, nil)
	require.NoError(t, err)
	require.Empty(t, present)
}

// What an answer lacks counts as absent, and would be sent again.
func TestLookIsWholeOrAnErrorWhateverTheUsersProfileSays(t *testing.T) {
	b := setup(t)
	id := batch.TopicID{1}
	var rs batch.Ranges
	for o := int64(0); o < 8000; o += 2 {
		rs = append(rs, at(0, o))
	}
	require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(id, rs, 1), "token"))
	for name, settings := range map[string]chgo.Settings{
		"result":   {"max_result_rows": 10, "result_overflow_mode": "break", "max_block_size": 8},
		"group by": {"max_rows_to_group_by": 10, "group_by_overflow_mode": "any"},
		"set":      {"max_rows_in_set": 10, "set_overflow_mode": "break"},
		"read":     {"max_rows_to_read": 10, "read_overflow_mode": "break", "max_block_size": 8},
		"limit":    {"limit": 10},
		"offset":   {"offset": 10},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := chgo.Open(&chgo.Options{Addr: b.cfg.Addresses(), Auth: chgo.Auth{Database: b.cfg.Database, Username: b.cfg.User}, Settings: settings})
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			present, _, err := clickhouse.NewLooker(conn).Look(t.Context(), "logs", id, batch.Ranges{{Last: 7999}})
			if err == nil {
				require.EqualValues(t, 4000, present.Len())
			}
		})
	}
}
