package record

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestCheckerRejectsWhatABlockRejectsForTheSameReason(t *testing.T) {
	for _, kind := range Kinds() {
		r := rand.New(rand.NewPCG(4, uint64(kind)))
		block, checker := NewBlock(kind), NewChecker(kind)
		var texts [][]byte
		for _, s := range samples(kind) {
			texts = append(texts, []byte(s.text))
		}
		for range 3000 {
			texts = append(texts, mutate(r, generate(r, kind)))
		}
		for _, text := range texts {
			block.Reset()
			want := block.Append(text, origin(0))
			require.Equal(t, want, checker.Check(text), "%.2000q", text)
			id, ok := checker.EventID()
			if want != nil {
				require.False(t, ok)
				continue
			}
			require.Equal(t, block.LastTime(), checker.Time(), "%.2000q", text)
			require.Equal(t, stored(t, block)["event_id"](0), uuid.UUID(id), "%.2000q", text)
			require.Equal(t, uuid.UUID(id) != uuid.Nil, ok)
		}
	}
}

func TestCheckerTellsTheEventIDOfTheLastGoodValueOnly(t *testing.T) {
	c := NewChecker(Log)
	require.NoError(t, c.Check([]byte(goodLog)))
	id, ok := c.EventID()
	require.True(t, ok)
	require.Equal(t, "0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6", uuid.UUID(id).String())
	require.Equal(t, time.UnixMicro(1_789_702_983_000_001), c.Time())

	for _, text := range []string{minimal(Log), goodLog + "x", with(Log, `"event_id":null`), with(Log, `"event_id":"00000000-0000-0000-0000-000000000000"`)} {
		require.NoError(t, c.Check([]byte(goodLog)))
		_ = c.Check([]byte(text))
		_, ok = c.EventID()
		require.False(t, ok, text)
		require.Equal(t, time.UnixMicro(0), c.Time())
	}
}

func TestMembersAreOneValueThatFitsIntoARecord(t *testing.T) {
	c := NewChecker(Event)
	for text, want := range map[string]Reason{
		"": Empty, " ": TruncatedJSON, "nul": TruncatedJSON, "nil": MalformedJSON, "1,": TrailingData, `1,"service":"x"`: TrailingData, "1}": TrailingData,
		"[1,]": MalformedJSON, `{"a":1,"\u0061":2}`: DuplicateKey, `[{"a":{"b":1,"b":1}}]`: DuplicateKey, `"\ud800"`: InvalidUTF8, "\"\xff\"": InvalidUTF8,
		nested(MaxDepth): TooDeep, nested(MaxDepth - 1): "", " null\n": "", "-0.5e3": "", `{"a":[1,{"a":"b"}]}`: "", `"x"`: "",
	} {
		err := c.CheckMember([]byte(text))
		if want == "" {
			require.NoError(t, err, "%.100q", text)
			require.NoError(t, c.Check([]byte(with(Event, `"payload":`+text))), "%.100q", text)
			continue
		}
		var bad *Rejected
		require.ErrorAs(t, err, &bad, "%.100q", text)
		require.Equal(t, want, bad.Reason, "%.100q", text)
		require.Empty(t, bad.Field)
		require.NoError(t, c.Check([]byte(full(Event))), "a bad value leaves no trace")
	}
}

func TestCheckingAllocatesNothingOnceGrown(t *testing.T) {
	c := NewChecker(Event)
	value, member := []byte(full(Event)), []byte(`{"a":[1,{"b":"\u00e9"}],"c":{}}`)
	check := func() {
		if c.Check(value) != nil || c.CheckMember(member) != nil {
			t.Error("rejected")
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, check))
}

// What a caller sends next must not be kept alive, or read, by what it sent before.
func TestCheckerLetsGoOfTheValue(t *testing.T) {
	c := NewChecker(Log)
	for _, text := range []string{goodLog, goodLog[:len(goodLog)-1], manyKeys(Log, 100)} {
		_ = c.Check([]byte(text))
		_ = c.CheckMember([]byte(text))
		require.Nil(t, c.dec.text)
		require.Zero(t, c.dec.texts)
		require.Empty(t, c.dec.pairs)
		for _, key := range c.dec.names.stack[:cap(c.dec.names.stack)] {
			require.Nil(t, key)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	c := NewChecker(Log)
	value := typicalLogs(1)[0]
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Check(value); err != nil {
			b.Fatal(err)
		}
	}
}
