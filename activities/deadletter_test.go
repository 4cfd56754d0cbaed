package activities

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/record"
)

// copies are the first n records of the dead letter topic.
func (b *bench) copies(n int) []*kgo.Record {
	b.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cl.OptValue(kgo.SeedBrokers).([]string)...), kgo.ConsumeTopics(DeadLetterTopic(topic)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(b.t, err)
	defer cl.Close()
	var got []*kgo.Record
	for len(got) < n {
		f := cl.PollFetches(b.ctx)
		require.NoError(b.t, f.Err0())
		got = append(got, f.Records()...)
	}
	return got
}

func headers(r *kgo.Record) map[string]string {
	m := map[string]string{}
	for _, h := range r.Headers {
		m[h.Key] = string(h.Value)
	}
	return m
}

func letter(in InsertInput, out Inserted) DeadLetterInput {
	return DeadLetterInput{Job: in.Job, Warrant: in.Warrant, Rejected: out.Rejected, Faults: out.Faults}
}

func TestDeadLettersAreRawExactAndCopied(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	in, out := b.insert(b.job(299))
	topics, err := b.adm.ListTopics(b.ctx)
	require.NoError(t, err)
	require.False(t, topics.Has(DeadLetterTopic(topic)), "it is created when it is needed")
	for i := range 3 {
		routed, err := run[Routed](b, b.DeadLetter, letter(in, out))
		require.NoError(t, err)
		require.EqualValues(t, 12, routed.Count)
		require.True(t, routed.Clean)
		require.Equal(t, 12, b.count("SELECT count() FROM dead_letters"), "run %d", i)
	}
	require.Equal(t, 12, b.count("SELECT uniqExact(_topic_id, _partition, _offset) FROM dead_letters"))
	require.Equal(t, 12, b.count(`SELECT count() FROM dead_letters WHERE key = 'k' AND value = concat(char(123), '"broken":', toString(_offset), char(125)) AND headers['from'] = 'test'
		AND reason = 'missing_field' AND class = 'undecodable' AND batch = ?`, in.Workflow))
	require.Equal(t, 0, b.count("SELECT count() FROM logs WHERE (_topic_id, _partition, _offset) IN (SELECT _topic_id, _partition, _offset FROM dead_letters)"))

	at := map[string]bool{}
	for _, r := range b.copies(12)[:12] {
		h := headers(r)
		require.Equal(t, fmt.Sprintf(`{"broken":%s}`, h["__connect.errors.offset"]), string(r.Value))
		require.Equal(t, topic, h["__connect.errors.topic"])
		require.Contains(t, []string{"0", "1"}, h["__connect.errors.partition"])
		require.Equal(t, in.Workflow, h["__connect.errors.connector.name"])
		require.Equal(t, "VALUE_CONVERTER", h["__connect.errors.stage"])
		require.Equal(t, "k", string(r.Key))
		at[h["__connect.errors.partition"]+"/"+h["__connect.errors.offset"]] = true
		require.Equal(t, "missing_field", h["__connect.errors.exception.class.name"])
		require.Contains(t, h["__connect.errors.exception.message"], "missing_field")
		require.Equal(t, "test", h["from"])
		require.NotContains(t, h, headerCut)
	}
	require.Len(t, at, 12, "a copy of each")
	seen := b.look(b.job(299))
	require.EqualValues(t, 588, seen.Stored)
	require.EqualValues(t, 12, seen.Dead)
	require.Empty(t, seen.Absent)

	require.Equal(t, 588, b.metric("ingest_stored_rows_total"))
	require.Equal(t, 600, b.metric("ingest_present_records_total"))
	require.Equal(t, 2, b.metric("ingest_looks_total"))
	require.Equal(t, 3*12, b.metric("ingest_dead_letters_total"), "by run")
}

// refuse has the broker answer every produce request of whose records the
// function says so with the error.
func (b *bench) refuse(code int16, which func(*kmsg.RecordBatch) bool) {
	b.c.Fake(b.t).ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.c.Fake(b.t).KeepControl()
		r := req.(*kmsg.ProduceRequest)
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		refused := false
		for _, t := range r.Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic, st.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				var rb kmsg.RecordBatch
				refused = refused || rb.ReadFrom(p.Records) == nil && which(&rb)
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.ErrorCode = p.Partition, code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, refused
	})
}

// A broker refuses times that are an hour ahead, by default; and deletes by them.
func TestACopyHasTheTimeOfItsMaking(t *testing.T) {
	b := setup(t)
	sent := time.Now().Add(48 * time.Hour).Truncate(time.Millisecond) // an agent whose clock is wrong
	b.send(&kgo.Record{Topic: topic, Value: []byte("bad"), Timestamp: sent})
	require.NoError(t, b.cl.Flush(b.ctx))
	j := b.job(0)
	j.Ranges = batch.Ranges{{}}
	in, out := b.insert(j)
	require.NoError(t, b.createTopic(b.ctx, DeadLetterTopic(topic)))
	if !b.c.Real() { // which refuses them itself
		b.refuse(kerr.InvalidTimestamp.Code, func(rb *kmsg.RecordBatch) bool {
			return time.UnixMilli(rb.MaxTimestamp).After(time.Now().Add(time.Hour))
		})
	}
	_, err := run[Routed](b, b.DeadLetter, letter(in, out))
	require.NoError(t, err)
	require.Equal(t, 1, b.count("SELECT count() FROM dead_letters"))
	r := b.copies(1)[0]
	require.WithinDuration(t, time.Now(), r.Timestamp, time.Minute)
	require.Equal(t, fmt.Sprint(sent.UnixMilli()), headers(r)[headerTime])
}

func TestManyLettersThatNobodyTakesFailInOneShortLine(t *testing.T) {
	b := setup(t)
	const n = 10_000
	b.produce(n, 1)
	j := b.job(n - 1)
	j.Limits.BlockRecords = 100_000
	in, out := b.insert(j)
	require.NoError(t, b.createTopic(b.ctx, DeadLetterTopic(topic)))
	b.refuse(kerr.TopicAuthorizationFailed.Code, func(*kmsg.RecordBatch) bool { return true })
	began := time.Now()
	_, err := run[Routed](b, b.DeadLetter, letter(in, out))
	require.Contains(t, TroubleOf(err).Message, "20000 records: ")
	require.Less(t, time.Since(began), 20*time.Second, "blips, and nothing that grows with the square")
}

func TestNothingIsDeadLetteredWhenDecodersDisagree(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	in, out := b.insert(b.job(299))
	fewer, other := letter(in, out), letter(in, out)
	fewer.Rejected--
	other.Faults++ // as many, but not the same ones
	for _, l := range []DeadLetterInput{fewer, other} {
		_, err := run[Routed](b, b.DeadLetter, l)
		require.Equal(t, Disagree, TroubleOf(err).Class)
	}
	require.Equal(t, 0, b.count("SELECT count() FROM dead_letters"))
}

func TestDeadLettersAreRoutedOnNoOldLook(t *testing.T) {
	b := setup(t)
	b.produce(100, 50)
	in, out := b.insert(b.job(99))
	l := letter(in, out)
	l.Warrant.At = l.Warrant.At.Add(-LookValid)
	_, err := run[Routed](b, b.DeadLetter, l)
	require.Equal(t, Expired, TroubleOf(err).Class)
	require.Equal(t, 0, b.count("SELECT count() FROM dead_letters"))
}

func TestACopyThatIsTooLargeIsCutAndTheTableHasAllOfIt(t *testing.T) {
	for name, limit := range map[string]string{"half a megabyte": "500000", "a hundred kilobytes": "100000", "less than the headers": "700"} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			require.NoError(t, b.createTopic(b.ctx, DeadLetterTopic(topic)))
			changed, err := b.adm.AlterTopicConfigs(b.ctx, []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, DeadLetterTopic(topic))
			require.NoError(t, err)
			_, err = changed.On(DeadLetterTopic(topic), nil)
			require.NoError(t, err)
			value := random(800_000)
			b.send(&kgo.Record{Topic: topic, Key: []byte("k"), Value: value, Headers: []kgo.RecordHeader{{Key: "big", Value: random(1000)}}})
			require.NoError(t, b.cl.Flush(b.ctx))
			j := b.job(0)
			j.Ranges = j.Ranges[:1]
			in, out := b.insert(j)
			_, err = run[Routed](b, b.DeadLetter, letter(in, out))
			require.NoError(t, err)
			var stored string
			require.NoError(t, b.conn.QueryRow(context.Background(), "SELECT value FROM dead_letters").Scan(&stored))
			require.True(t, bytes.Equal(value, []byte(stored)))
			r := b.copies(1)[0]
			require.Equal(t, "800000", headers(r)[headerCut])
			require.Equal(t, topic, headers(r)["__connect.errors.topic"])
			require.True(t, bytes.HasPrefix(value, r.Value))
			require.Less(t, len(r.Value), len(value))
		})
	}
}

// random does not compress.
func random(n int) []byte {
	b := make([]byte, n)
	x := uint64(1)
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte('!' + (x>>33)%90)
	}
	return b
}

func TestDeadLettersOfAnEarlierAttemptStayInDoubt(t *testing.T) {
	b := setup(t)
	b.produce(100, 50)
	in, out := b.insert(b.job(99))
	l := letter(in, out)
	l.Warrant.At = l.Warrant.At.Add(-LookValid)
	_, err := run[Routed](b, b.DeadLetter, l, Progress{Doubt: true})
	require.Equal(t, Expired, TroubleOf(err).Class)
	require.True(t, TroubleOf(err).Progress.Doubt)
	_, err = run[Routed](b, b.DeadLetter, l)
	require.False(t, TroubleOf(err).Progress.Doubt)
}

func TestNoDeadLetterIsInTheTableWithoutACopy(t *testing.T) {
	b := setup(t)
	b.produce(100, 50)
	in, out := b.insert(b.job(99))
	require.NoError(t, b.conn.Exec(b.ctx, "RENAME TABLE dead_letters TO away"))
	_, err := run[Routed](b, b.DeadLetter, letter(in, out))
	require.Equal(t, Blocked, TroubleOf(err).Class)
	require.Len(t, b.copies(2), 2, "the copy comes first")
	require.NoError(t, b.conn.Exec(b.ctx, "RENAME TABLE away TO dead_letters"))
	_, err = run[Routed](b, b.DeadLetter, letter(in, out))
	require.NoError(t, err)
	require.Equal(t, 4, b.count("SELECT count() FROM dead_letters"))
}

func TestADeadLetterHasTheSameTimeAsARow(t *testing.T) {
	b := setup(t)
	j := b.job(3)
	for i, at := range []time.Time{
		time.UnixMilli(1_767_323_045_123),     // 2026
		time.UnixMilli(1_767_323_045_123_000), // microseconds taken for milliseconds: more than any column holds
		time.UnixMilli(-1),                    // none
		time.UnixMilli(-1_767_323_045_123_000),
	} {
		rec := &kgo.Record{Topic: topic, Partition: 0, Offset: int64(i), Timestamp: at, Value: []byte(`{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"x"}`)}
		row := record.NewBlock(record.Log)
		require.NoError(t, row.Append(rec.Value, record.Coordinates{Topic: topic, TopicID: b.id, Offset: rec.Offset, Timestamp: rec.Timestamp}))
		var l letters
		l.add(j, rec, cause{})
		require.NoError(t, b.Inserter.Insert(b.ctx, record.Log.Table(), row.Input(), fmt.Sprint("row", i)))
		require.NoError(t, b.Inserter.Insert(b.ctx, deadLetters, l.input(), fmt.Sprint("letter", i)))
	}
	require.Equal(t, 4, b.count("SELECT count() FROM logs AS l INNER JOIN dead_letters AS d USING (_topic_id, _partition, _offset) WHERE l._kafka_timestamp = d._kafka_timestamp"))
	require.Equal(t, 1, b.count("SELECT count() FROM dead_letters WHERE _kafka_timestamp > '2299-01-01'"))
}
