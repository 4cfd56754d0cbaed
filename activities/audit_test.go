package activities

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
)

// ingest stores all that was produced up to last in both partitions, and routes what cannot be decoded.
func (b *bench) ingest(last int64) {
	b.t.Helper()
	in, out := b.insert(b.job(last))
	if out.Rejected > 0 {
		_, err := run[Routed](b, b.DeadLetter, letter(in, out))
		require.NoError(b.t, err)
	}
}

func (b *bench) audit(r batch.Range, only ...batch.Range) Audited {
	b.t.Helper()
	a, err := run[Audited](b, b.AuditRange, AuditRangeInput{Topic: topic, TopicID: b.id, Range: r, Only: only})
	require.NoError(b.t, err)
	require.True(b.t, a.Balanced(), "%+v", a)
	return a
}

func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	require.NoError(b.t, b.conn.Exec(b.ctx, sql, args...))
}

func found(rs ...batch.Range) Findings {
	return Findings{Offsets: batch.Ranges(rs).Len(), Ranges: rs}
}

func TestAnAuditNamesExactlyThePlantedFaults(t *testing.T) {
	b := setup(t)
	b.produce(600, 50) // offsets 49, 99, 149 … are dead letters
	b.ingest(599)
	p0, p1 := batch.Range{Partition: 0, Last: 599}, batch.Range{Partition: 1, Last: 599}
	for _, r := range []batch.Range{p0, p1} {
		a := b.audit(r)
		require.Zero(t, a.Faults())
		require.Equal(t, Audited{Offsets: 600, Stored: 588, Dead: 12}, a)
	}

	b.exec("DELETE FROM logs WHERE _partition = 0 AND _offset BETWEEN 100 AND 136")
	b.exec("INSERT INTO logs SELECT * FROM logs WHERE _partition = 1 AND _offset IN (0, 63, 64, 65, 598)")
	b.exec("DELETE FROM dead_letters WHERE _partition = 1 AND _offset = 149")
	b.exec("INSERT INTO dead_letters SELECT * FROM dead_letters WHERE _partition = 0 AND _offset = 99")

	require.Equal(t, Audited{
		Offsets: 600, Stored: 551, Dead: 12, Gaps: found(batch.Range{First: 100, Last: 136}), DeadDoubled: found(batch.Range{First: 99, Last: 99}),
	}, b.audit(p0))
	require.Equal(t, Audited{
		Offsets: 600, Stored: 588, Dead: 11, Gaps: found(batch.Range{Partition: 1, First: 149, Last: 149}),
		Doubled: found(batch.Range{Partition: 1}, batch.Range{Partition: 1, First: 63, Last: 65}, batch.Range{Partition: 1, First: 598, Last: 598}),
	}, b.audit(p1))

	t.Run("a second look judges nothing else", func(t *testing.T) {
		only := batch.Range{Partition: 1, First: 64, Last: 149}
		require.Equal(t, Audited{
			Offsets: 86, Stored: 84, Dead: 1, Gaps: found(batch.Range{Partition: 1, First: 149, Last: 149}), Doubled: found(batch.Range{Partition: 1, First: 64, Last: 65}),
		}, b.audit(p1, only))
	})
	t.Run("ranges begin and end inside of faults", func(t *testing.T) {
		a := b.audit(batch.Range{First: 120, Last: 130})
		require.Equal(t, Audited{Offsets: 11, Gaps: found(batch.Range{First: 120, Last: 130})}, a)
	})
	t.Run("inserting what is missing mends the gaps", func(t *testing.T) {
		b.insert(b.job(599))
		require.Zero(t, b.audit(p0).Gaps.Offsets)
		require.EqualValues(t, 1, b.audit(p1).Gaps.Offsets, "a dead letter is not a row")
	})
}

func TestHolesAreNotGaps(t *testing.T) {
	b := setup(t)
	b.transactions(60) // of eleven offsets each, every second one aborted: 330 aborted, 60 markers less 30
	all := batch.Range{Last: 659}
	require.Equal(t, Audited{Offsets: 660, Holes: 360, Gaps: b.audit(all).Gaps}, b.audit(all), "nothing is stored yet")
	require.EqualValues(t, 300, b.audit(all).Gaps.Offsets)
	j := b.job(0)
	j.Ranges = batch.Ranges{all}
	_, out := b.insert(j)
	require.EqualValues(t, 300, out.Stored)
	require.Equal(t, Audited{Offsets: 660, Stored: 300, Holes: 360}, b.audit(all))
	b.exec("DELETE FROM logs WHERE _offset = 44")
	require.Equal(t, Audited{Offsets: 660, Stored: 299, Holes: 360, Gaps: found(batch.Range{First: 44, Last: 44})}, b.audit(all))
}

func TestWhatCompactionTookIsNotAGap(t *testing.T) {
	b := setup(t)
	compact := "compact"
	answers, err := b.adm.AlterTopicConfigsState(b.ctx, []kadm.AlterConfig{{Name: "cleanup.policy", Value: &compact}}, topic)
	require.NoError(t, err)
	require.NoError(t, answers[0].Err)
	for i := range 30 { // a batch each; the first key stays, so the log begins where it did
		r := &kgo.Record{Topic: topic, Key: []byte{byte(min(i, 1) * (i%10 + 1))}, Value: []byte(`{"timestamp":1767323045,"level":"INFO","message":"x"}`)}
		require.NoError(t, b.cl.ProduceSync(b.ctx, r).FirstErr())
	}
	b.c.Fake(t).Compact()
	a := b.audit(batch.Range{Last: 29})
	require.Positive(t, a.Holes, "%+v", a)
	require.Equal(t, Audited{Offsets: 30, Holes: a.Holes, Gaps: a.Gaps}, a)
	j := b.job(0)
	j.Ranges = batch.Ranges{{Last: 29}}
	_, out := b.insert(j)
	require.Equal(t, out.Holes, a.Holes)
	require.Equal(t, Audited{Offsets: 30, Holes: a.Holes, Stored: out.Stored}, b.audit(batch.Range{Last: 29}))
}

func TestHolesFarApartAreReadInSpans(t *testing.T) {
	b := batch.NewBitmap(batch.Range{Last: 10_000})
	for _, o := range []int64{0, 10, 20, 300, 5000, 5001, 9000} {
		b.Add(batch.Range{First: o, Last: o})
	}
	require.Equal(t, batch.Ranges{{First: 0, Last: 20}, {First: 300, Last: 300}, {First: 5000, Last: 5001}, {First: 9000, Last: 9000}}, spans(b))
}

func TestWhatWasNotedIsNotAGap(t *testing.T) {
	b := setup(t)
	b.produce(100, 1000)
	j := b.job(99)
	j.Ranges = batch.Ranges{{First: 50, Last: 99}}
	b.insert(j)
	for kind, r := range map[Exception]batch.Range{ExceptionOpened: {First: 0, Last: 9}, ExceptionLost: {First: 10, Last: 29}} {
		n := NoteInput{Job: j, Kind: kind, Reason: "test"}
		n.Ranges = batch.Ranges{r}
		_, err := run[any](b, b.Note, n)
		require.NoError(t, err)
	}
	b.exec("INSERT INTO ingest_exceptions (kind, _topic, _topic_id, _partition, first, last) VALUES ('skipped', ?, ?, 0, 30, 54)", topic, b.id.String())
	b.exec("INSERT INTO ingest_exceptions (kind, _topic, _topic_id, _partition, first, last) VALUES ('skipped', ?, ?, 1, 0, 99), ('skipped', 'other', ?, 0, 0, 99)", topic, b.id.String(), batch.TopicID{9}.String())
	require.Equal(t, Audited{Offsets: 100, Stored: 50, Opened: 10, Lost: 20, Skipped: 20}, b.audit(batch.Range{Last: 99}), "five of those that were skipped are stored")
}

func TestWhatWasRedrivenHasItsPlaceInTheTableAndNotAmongTheDeadLetters(t *testing.T) {
	b := setup(t)
	b.produce(100, 10) // offsets 9, 19 …
	b.ingest(99)
	b.exec("INSERT INTO logs (timestamp, _topic, _topic_id, _partition, _offset) SELECT now(), _topic, _topic_id, _partition, _offset FROM dead_letters WHERE _partition = 0 AND _offset < 40")
	b.exec("ALTER TABLE dead_letters UPDATE state = 'redriven' WHERE _offset IN (9, 29, 99) SETTINGS mutations_sync = 1")
	b.exec("ALTER TABLE dead_letters UPDATE state = 'skipped' WHERE _offset = 39 SETTINGS mutations_sync = 1")
	require.Equal(t, Audited{Offsets: 100, Stored: 94, Dead: 5, Gaps: found(batch.Range{First: 99, Last: 99}), Both: found(batch.Range{First: 19, Last: 19}, batch.Range{First: 39, Last: 39})}, b.audit(batch.Range{Last: 99}))
}

func TestRowsThatExpiredAreNotGaps(t *testing.T) {
	b := setup(t)
	log := func(when time.Time) *kgo.Record {
		return &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, `{"timestamp":%q,"level":"INFO","message":"x"}`, when.Format(time.RFC3339))}
	}
	now := time.Now()
	for i := range 100 { // the record's time counts, not Kafka's
		age := 40 * 24 * time.Hour
		if i >= 60 {
			age = 20 * 24 * time.Hour
		}
		b.send(log(now.Add(-age)))
	}
	b.send(&kgo.Record{Topic: topic, Value: []byte("not decodable")})
	require.NoError(t, b.cl.Flush(b.ctx))
	all := batch.Range{Last: 100}
	b.exec("ALTER TABLE logs MODIFY TTL toDateTime(timestamp) + INTERVAL 30 DAY")
	require.Equal(t, Audited{Offsets: 101, Expired: 60, Gaps: found(batch.Range{First: 60, Last: 100})}, b.audit(all))
	b.exec("ALTER TABLE logs MODIFY TTL toDateTime(_inserted_at) + INTERVAL 30 DAY")
	a := b.audit(all)
	require.EqualValues(t, 101, a.Gaps.Offsets, "it cannot be told: it is told so")
	require.Equal(t, "toDateTime(_inserted_at) + toIntervalDay(30)", a.Expiry)
}

func TestWhatKafkaHasDeletedIsNotJudged(t *testing.T) {
	b := setup(t)
	b.produce(100, 1000)
	j := b.job(99)
	j.Ranges = batch.Ranges{{First: 0, Last: 9}, {First: 90, Last: 99}}
	b.insert(j)
	os := kadm.Offsets{}
	os.AddOffset(topic, 0, 60, -1)
	_, err := b.adm.DeleteRecords(b.ctx, os)
	require.NoError(t, err)
	require.Equal(t, Audited{Offsets: 100, Stored: 20, Deleted: 50, Gaps: found(batch.Range{First: 60, Last: 89})}, b.audit(batch.Range{Last: 99}))
}

func TestAnAuditOfADeletedTopicCannotTell(t *testing.T) {
	b := setup(t)
	b.produce(10, 1000)
	_, err := b.adm.DeleteTopic(b.ctx, topic)
	require.NoError(t, err)
	_, err = run[Audited](b, b.AuditRange, AuditRangeInput{Topic: topic, TopicID: b.id, Range: batch.Range{Last: 9}})
	require.Equal(t, "KAFKA_TOPIC_DELETED", TroubleOf(err).Name)
	_, err = run[AuditBounds](b, b.Activities.AuditBounds, AuditScope{Group: "g", Topic: topic})
	require.Equal(t, "KAFKA_NO_TOPIC", TroubleOf(err).Name)
	require.Equal(t, Blocked, TroubleOf(err).Class)
	_, err = b.adm.CreateTopic(b.ctx, 1, 1, nil, topic)
	require.NoError(t, err)
	_, err = run[AuditBounds](b, b.Activities.AuditBounds, AuditScope{Group: "g", Topic: topic, TopicID: b.id})
	require.Equal(t, "KAFKA_TOPIC_DELETED", TroubleOf(err).Name)
	_, err = run[AuditBounds](b, b.Activities.AuditBounds, AuditScope{Group: "g", Topic: "other"})
	require.Equal(t, "UNKNOWN_TOPIC", TroubleOf(err).Name)
}

func TestAnAuditGoesOnBehindItsLastHeartbeat(t *testing.T) {
	b := setup(t)
	in := AuditRangeInput{Topic: topic, TopicID: b.id, Range: batch.Range{First: 5, Last: 2*auditStep + 9}}
	b.exec("INSERT INTO logs (timestamp, _topic_id, _partition, _offset) SELECT now(), ?, 0, ? + number FROM numbers(10)", b.id.String(), 2*auditStep)
	before := Audited{Offsets: 2*auditStep - 5, Stored: 2*auditStep - 15, Gaps: found(batch.Range{First: 100, Last: 109})}
	a, err := run[Audited](b, b.AuditRange, in, auditProgress{Next: 2 * auditStep, Found: before})
	require.NoError(t, err)
	before.Add(Audited{Offsets: 10, Stored: 10})
	require.Equal(t, before, a, "what the first attempt compared is not asked again: it would be missing, and not in Kafka")
}

func TestFindingsAreListedUpToABoundAndAllCounted(t *testing.T) {
	var f, g Findings
	for i := range int64(maxListed + 50) {
		f.add(batch.Range{First: 2 * i, Last: 2 * i})
	}
	require.Len(t, f.Ranges, maxListed)
	require.EqualValues(t, maxListed+50, f.Offsets)
	require.True(t, f.More)
	g.add(batch.Range{First: 0, Last: 9})
	g.Add(Findings{Offsets: 3, Ranges: batch.Ranges{{First: 10, Last: 12}}})
	require.Equal(t, found(batch.Range{First: 0, Last: 12}), g)
	g.Add(f)
	require.Len(t, g.Ranges, maxListed)
	require.True(t, g.More)
	j, err := json.Marshal(Audited{Gaps: f, Doubled: f, DeadDoubled: f, Both: f})
	require.NoError(t, err)
	require.Less(t, len(j), 40_000)
}

// bookmark commits what the consumer would.
func (b *bench) bookmark(id batch.TopicID, low map[int32]int64) {
	b.t.Helper()
	os := kadm.Offsets{}
	for p, o := range low {
		j, err := json.Marshal(batch.Bookmark{Version: 1, TopicID: id.String(), Number: 3, Low: o})
		require.NoError(b.t, err)
		os.Add(kadm.Offset{Topic: topic, Partition: p, At: o, LeaderEpoch: -1, Metadata: string(j)})
	}
	require.NoError(b.t, b.adm.CommitAllOffsets(b.ctx, "g", os))
}

func TestBoundsAreLogStartAndLowWatermark(t *testing.T) {
	b := setup(t)
	b.produce(100, 1000)
	ask := func(ranges ...batch.Range) AuditBounds {
		out, err := run[AuditBounds](b, b.Activities.AuditBounds, AuditScope{Group: "g", Topic: topic, Ranges: ranges})
		require.NoError(t, err)
		require.Equal(t, b.id, out.TopicID)
		return out
	}
	out := ask()
	require.Empty(t, out.Ranges)
	require.Equal(t, []int32{0, 1}, out.Untold[0].Partitions)
	require.Contains(t, out.Untold[0].Why, "has committed no offset")

	b.bookmark(b.id, map[int32]int64{0: 90})
	b.bookmark(batch.TopicID{7}, map[int32]int64{1: 100})
	os := kadm.Offsets{}
	os.AddOffset(topic, 0, 20, -1)
	_, err := b.adm.DeleteRecords(b.ctx, os)
	require.NoError(t, err)
	out = ask()
	require.Equal(t, batch.Ranges{{Partition: 0, First: 20, Last: 89}}, out.Ranges)
	require.Equal(t, []int32{1}, out.Untold[0].Partitions)
	require.Contains(t, out.Untold[0].Why, "not the consumer's own")

	b.bookmark(b.id, map[int32]int64{1: 101})
	require.Contains(t, ask().Untold[0].Why, "ends below what was ingested")
	b.bookmark(b.id, map[int32]int64{1: 100})
	for name, c := range map[string]struct {
		ranges, want batch.Ranges
	}{
		"all":                {nil, batch.Ranges{{Partition: 0, First: 20, Last: 89}, {Partition: 1, First: 0, Last: 99}}},
		"some, in any order": {batch.Ranges{{Partition: 1, First: 30, Last: 40}, {Partition: 1, First: 5, Last: 6}}, batch.Ranges{{Partition: 1, First: 5, Last: 6}, {Partition: 1, First: 30, Last: 40}}},
		"beyond both ends":   {batch.Ranges{{Partition: 0, First: 5, Last: 95}}, batch.Ranges{{Partition: 0, First: 5, Last: 89}}},
		"not ingested yet":   {batch.Ranges{{Partition: 0, First: 90, Last: 95}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			out := ask(c.ranges...)
			require.Equal(t, c.want, out.Ranges)
			require.Empty(t, out.Untold)
		})
	}
}

func TestAnEmptyPartitionHasNothingToTell(t *testing.T) {
	b := setup(t)
	for _, ranges := range []batch.Ranges{nil, {{Partition: 1, Last: 9}}} {
		out, err := run[AuditBounds](b, b.Activities.AuditBounds, AuditScope{Group: "g", Topic: topic, Ranges: ranges})
		require.NoError(t, err)
		require.Equal(t, AuditBounds{TopicID: b.id}, out)
	}
}

// TestTenMillionOffsetsAreAuditedInSeconds has a tenth of them unless AUDIT_OFFSETS says otherwise.
func TestTenMillionOffsetsAreAuditedInSeconds(t *testing.T) {
	n := int64(1_000_000)
	if s := os.Getenv("AUDIT_OFFSETS"); s != "" {
		var err error
		n, err = strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
	}
	b := setup(t)
	b.exec("INSERT INTO logs (timestamp, level, message, service, _topic, _topic_id, _partition, _offset) "+
		"SELECT toDateTime('2026-01-02 00:00:00') + intDiv(number, 1000), 'INFO', toString(number), toString(number % 7), ?, ?, 0, number FROM numbers(?)", topic, b.id.String(), n)
	began := time.Now()
	require.Equal(t, Audited{Offsets: n, Stored: n}, b.audit(batch.Range{Last: n - 1}))
	took := time.Since(began)
	t.Logf("%d offsets in %s", n, took)
	require.Less(t, took, time.Duration(n)*6*time.Microsecond, "ten million in a minute")
}
