package clickhouse_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

func listed(b *batch.Bitmap) (rs batch.Ranges) {
	b.Ranges(func(r batch.Range) bool { rs = append(rs, r); return true })
	return rs
}

func (b bundle) held(t *testing.T, table string, id batch.TopicID, r batch.Range) (held, doubled batch.Ranges) {
	t.Helper()
	h, d, err := b.looker.Held(t.Context(), table, id, r)
	require.NoError(t, err)
	return listed(h), listed(d)
}

func TestAnAuditNamesWhatIsHeldAndWhatIsDoubled(t *testing.T) {
	b := setup(t)
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 2))
		id := batch.TopicID{14: 1, 15: byte(seed)}
		rows := model{}
		for n := range 1 + r.IntN(4) { // parts
			rs := randomRanges(r, 1+r.IntN(6), 1+r.Int64N(900))
			if n > 0 && r.IntN(2) == 0 { // single offsets a second time
				rs = randomRanges(r, 1+r.IntN(20), 1)
			}
			for _, x := range rs {
				for o := x.First; o <= x.Last; o++ {
					rows[at(x.Partition, o)]++
				}
			}
			require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(id, rs, 1+r.IntN(2)), fmt.Sprint("audit/", seed, "/", n)))
		}
		if r.IntN(2) == 0 {
			cut := r.Int64N(6000)
			b.exec(t, fmt.Sprintf("DELETE FROM logs WHERE _topic_id = '%s' AND _offset BETWEEN %d AND %d", id, cut, cut+r.Int64N(700)))
			b.reread(t, id, rows)
		}
		for range 12 {
			x := randomRanges(r, 1, 1+r.Int64N(7000))[0]
			var want, twice batch.Ranges
			for c, n := range rows {
				if x.Overlaps(c) && n > 0 {
					want = append(want, c)
				}
				if x.Overlaps(c) && n > 1 {
					twice = append(twice, c)
				}
			}
			held, doubled := b.held(t, "logs", id, x)
			require.Equal(t, want.Sort(), held, "seed %d, %s", seed, x)
			require.Equal(t, twice.Sort(), doubled, "seed %d, %s", seed, x)
		}
	}
}

// reread counts the rows anew, by the plainest of queries.
func (b bundle) reread(t *testing.T, id batch.TopicID, into model) {
	t.Helper()
	clear(into)
	rows, err := b.conn.Query(t.Context(), "SELECT _partition, _offset FROM logs WHERE _topic_id = '"+id.String()+"'")
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p int32
		var o int64
		require.NoError(t, rows.Scan(&p, &o))
		into[at(p, o)]++
	}
	require.NoError(t, rows.Err())
}

func TestAnAuditReadsTheProjectionAlone(t *testing.T) {
	b := setup(t)
	for n := range int64(4) {
		require.NoError(t, b.inserter.Insert(t.Context(), "logs", rowsOf(topic, span(0, n*20_000, n*20_000+19_999), 2), fmt.Sprint(n)))
	}
	b.exec(t, "DELETE FROM logs WHERE _offset BETWEEN 30000 AND 30036")
	held, doubled := b.held(t, "logs", topic, batch.Range{First: 100, Last: 90_000})
	require.Equal(t, batch.Ranges{{First: 100, Last: 29_999}, {First: 30_037, Last: 79_999}}, held)
	require.Empty(t, doubled)
	const of = " FROM system.query_log WHERE type = 'QueryFinish' AND current_database = ? AND position(query, 'lagInFrame') > 0 AND position(query, 'query_log') = 0 LIMIT 1"
	var used []string
	b.logged(t, &used, "SELECT projections"+of, b.cfg.Database)
	require.Equal(t, []string{b.cfg.Database + ".logs.by_word"}, used)
	var read uint64
	b.logged(t, &read, "SELECT read_rows"+of, b.cfg.Database)
	require.Less(t, read, uint64(3000), "the table has 80,000 rows")
	require.Equal(t, 0, b.count(t, "SELECT count() FROM system.query_log WHERE type = 'QueryFinish' AND current_database = ? AND position(query, 'HAVING count() > 1') > 0 AND position(query, 'query_log') = 0", b.cfg.Database),
		"nothing is doubled: no scan")
}

func TestADeadLetterIsUnsettledUntilItIsRedriven(t *testing.T) {
	b := setup(t)
	in := rowsOf(topic, span(0, 0, 999), 1)[1:] // dead_letters has no timestamp
	require.NoError(t, b.inserter.Insert(t.Context(), "dead_letters", in, "a"))
	b.exec(t, "ALTER TABLE dead_letters UPDATE state = 'redriven' WHERE _offset BETWEEN 10 AND 200 SETTINGS mutations_sync = 1")
	b.exec(t, "ALTER TABLE dead_letters UPDATE state = 'skipped' WHERE _offset BETWEEN 100 AND 110 SETTINGS mutations_sync = 1")
	held, _ := b.held(t, "dead_letters", topic, batch.Range{First: 5, Last: 300})
	require.Equal(t, span(0, 5, 300), held)
	open, err := b.looker.Unsettled(t.Context(), "dead_letters", topic, batch.Range{First: 5, Last: 300})
	require.NoError(t, err)
	require.Equal(t, batch.Ranges{{First: 5, Last: 9}, {First: 100, Last: 110}, {First: 201, Last: 300}}, listed(open))
}

func TestAnAuditOfAMissingTableIsBlocked(t *testing.T) {
	b := setup(t)
	_, _, err := b.looker.Held(t.Context(), "nowhere", topic, batch.Range{Last: 9})
	require.Equal(t, "UNKNOWN_TABLE", failureOf(t, err).Name)
}

func TestTheExpiryOfATableIsKnownByItsInterval(t *testing.T) {
	b := setup(t)
	now := time.Now()
	for name, c := range map[string]struct {
		ttl   string
		known bool
		due   map[time.Duration]bool // by age of the row
	}{
		"none":                {"", true, map[time.Duration]bool{1e6 * time.Hour: false}},
		"as workers did once": {"toDateTime(timestamp) + INTERVAL 30 DAY", true, map[time.Duration]bool{29 * 24 * time.Hour: false, 31 * 24 * time.Hour: true, -90 * 365 * 24 * time.Hour: true}}, // past 2106 it wraps
		"in full":             {"timestamp + INTERVAL 2 MONTH DELETE", true, map[time.Duration]bool{50 * 24 * time.Hour: false, 70 * 24 * time.Hour: true, -90 * 365 * 24 * time.Hour: false}},
		"of some rows":        {"toDateTime(timestamp) + INTERVAL 1 DAY DELETE WHERE service = 'x'", false, map[time.Duration]bool{48 * time.Hour: false}},
		"when it came in":     {"toDateTime(_inserted_at) + INTERVAL 1 DAY", false, map[time.Duration]bool{48 * time.Hour: false}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.ttl != "" {
				b.exec(t, "ALTER TABLE logs MODIFY TTL "+c.ttl)
			} else if b.count(t, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'logs' AND engine_full LIKE '%TTL%'") > 0 {
				b.exec(t, "ALTER TABLE logs REMOVE TTL")
			}
			e, err := b.looker.Expiry(t.Context(), "logs")
			require.NoError(t, err)
			require.Equal(t, c.known, e.Known, e.Clause)
			require.Equal(t, c.ttl != "", e.Clause != "")
			for age, due := range c.due {
				require.Equal(t, due, e.Due(now.Add(-age)), "%s: %s", e.Clause, age)
			}
		})
	}
}
