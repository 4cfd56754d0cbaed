package planlog

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

func TestABatchIsCutWhenItIsFullOrHasLingered(t *testing.T) {
	scenario(t, opts{}, func(l lab) { // 10 records, 2 seconds
		p := l.procs[0]
		l.rounds(p, 1)
		l.produce(0, 4)
		l.rounds(p, 1)
		l.produce(1, 3)
		l.rounds(p, 1)
		require.Equal(t, 1, l.entries(), "nothing is full and nothing has waited")
		l.rounds(p, 1)
		require.Equal(t, batch.Ranges{rng(0, 0, 3), rng(1, 0, 2)}, l.entry(1).Ranges, "all partitions, when the oldest has waited")
		l.produce(0, 25)
		l.rounds(p, 1)
		require.Equal(t, 4, l.entries(), "two full ones at once, and the rest waits")
		require.EqualValues(t, 5, p.pl.State().Unplanned[0])
		l.rounds(p, 1)
		require.Equal(t, 4, l.entries())
		l.finish()
		l.rounds(p, 2)
		require.Equal(t, 5, l.entries())
	})
}

func TestTheWindowBoundsWhatIsOpen(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.produce(0, 100)
		l.rounds(p, 20)
		require.Equal(t, window, l.entries())
		l.finish(2)
		l.rounds(p, 2)
		require.Equal(t, window+1, l.entries())
		require.EqualValues(t, 0, l.commits[0].Offset)
	})
}

func TestPartitionsShareABatchFairly(t *testing.T) {
	waiting := batch.Ranges{rng(0, 0, 999), rng(1, 0, 1), rng(2, 50, 99)}
	require.Equal(t, batch.Ranges{rng(0, 0, 3), rng(1, 0, 1), rng(2, 50, 53)}, share(waiting, 10))
	require.Equal(t, waiting, share(waiting, 5000))
	require.Equal(t, batch.Ranges{rng(0, 0, 0)}, share(batch.Ranges{rng(0, 0, 9), rng(1, 0, 9)}, 1), "never more than the limit")
	require.Empty(t, share(nil, 10))
	for limit := range int64(120) {
		require.Equal(t, min(limit, 1052), share(waiting, limit).Len())
	}
}

func TestAheadStopsAtOpenRangesAndGoesOnBehindThem(t *testing.T) {
	at := func(off int64) batch.Position { return batch.Position{Offset: off} }
	owned := batch.Ranges{rng(0, 10, 19), rng(0, 30, 39), rng(1, 0, 99)}
	for _, c := range []struct {
		at    int64
		log   Log
		lost  batch.Ranges
		first int64
		last  int64
	}{
		{0, Log{End: 50}, nil, 0, 9},
		{10, Log{End: 50}, nil, 20, 29},
		{15, Log{End: 50}, nil, 20, 29},
		{35, Log{End: 50}, nil, 40, 49},
		{15, Log{End: 18}, nil, 20, 17},
		{0, Log{First: 5, End: 50}, batch.Ranges{rng(0, 0, 4)}, 5, 9},
		{0, Log{First: 12, End: 50}, batch.Ranges{rng(0, 0, 9)}, 20, 29},
		{0, Log{First: 45, End: 50}, batch.Ranges{rng(0, 0, 9), rng(0, 20, 29), rng(0, 40, 44)}, 45, 49},
		{15, Log{First: 30, End: 40}, batch.Ranges{rng(0, 20, 29)}, 40, 39},
	} {
		lost, r := ahead(at(c.at), c.log, owned, rules{})
		require.Equal(t, c.lost, lost, "%+v", c)
		require.Equal(t, rng(0, c.first, c.last), r, "%+v", c)
	}
}

func TestBytesAreEstimatedFromTheLastOutcomes(t *testing.T) {
	p := New(Config{Records: 100_000, Bytes: 64 << 20}, nil, nil, nil, nil, nil, nil, Observer{})
	require.EqualValues(t, 1000, p.limit(1000), "nothing is known yet")
	p.measure(batch.Outcome{Present: 5, Offsets: 5}) // read nothing
	require.EqualValues(t, 1000, p.limit(1000))
	require.EqualValues(t, 10_000, p.limit(10_000), "replays mostly read nothing")
	p.measure(batch.Outcome{Stored: 90, DeadLettered: 10, Bytes: 100 * 6711})
	require.EqualValues(t, 9999, p.limit(1000))
	for range 8 {
		p.measure(batch.Outcome{Stored: 1000, Bytes: 1000 * 10})
	}
	require.EqualValues(t, 100_000, p.limit(1000), "small records: the old ones are forgotten")
	for range 8 {
		p.measure(batch.Outcome{Stored: 1, Bytes: 100 << 20})
	}
	require.EqualValues(t, 1, p.limit(1000))
}

// commits keeps what was committed.
type commits struct {
	Kafka
	c map[int32]Commit
}

func (k *commits) Commit(_ context.Context, _ batch.TopicID, c map[int32]Commit) error {
	k.c = c
	return nil
}

func (k *commits) Logs(context.Context) (Logs, error) {
	return Logs{TopicID: topicID(0), Partitions: map[int32]Log{0: {End: 10}}}, nil
}

func (k *commits) Fetch(context.Context) (map[int32]Commit, error) { return k.c, nil }

// forgetful is a Temporal that has batch 0 and the newest of five million.
type forgetful struct {
	Temporal
	asked int
}

func (f *forgetful) List(context.Context, string) (map[int64]Status, error) {
	return map[int64]Status{0: Running, 4_999_999: Completed}, nil
}

func (f *forgetful) Get(_ context.Context, id string) (batch.Batch, Status, error) {
	f.asked++
	for _, n := range []int64{0, 4_999_999} {
		if id == batch.ID("g", "t", topicID(0), n) {
			return batch.Batch{Number: n}, Completed, nil
		}
	}
	return batch.Batch{}, Running, ErrNotFound
}

// The group's offsets have expired, or the bookmark is very old.
func TestATakeoverDoesNotAskForWhatTemporalForgot(t *testing.T) {
	old := Commit{3, fmt.Sprintf(`{"v":1,"t":%q,"n":1000,"l":3}`, topicID(0))}
	for name, c := range map[string]map[int32]Commit{"no bookmark": nil, "an old one": {0: old}} {
		t.Run(name, func(t *testing.T) {
			f := &forgetful{}
			p := New(Config{Group: "g", Topic: "t"}, &commits{c: c}, f, nil, func() time.Time { return unix(0) }, nil, slog.New(slog.DiscardHandler), Observer{})
			st, err := p.takeover(t.Context())
			require.NoError(t, err)
			require.Less(t, f.asked, recent+10)
			require.EqualValues(t, 5_000_000, st.n)
			require.Equal(t, map[int32]int64{0: c[0].Offset}, st.back, "all goes back to the bookmark")
		})
	}
}

// Kafka bounds the metadata to 4,096 characters.
func TestTheBookmarkStaysSmall(t *testing.T) {
	k := &commits{}
	p := New(Config{Group: "g", Topic: "t"}, k, nil, nil, func() time.Time { return unix(0) }, nil, nil, Observer{})
	p.st = &state{next: map[int32]batch.Position{0: {Offset: math.MaxInt64}}, open: map[int64]*open{}, n: math.MaxInt64, dirty: true}
	for i := range int64(16) {
		p.st.open[math.MaxInt64-1-i] = &open{Batch: batch.Batch{Nonce: fmt.Sprint(i)}}
	}
	require.NoError(t, p.commit(t.Context()))
	require.Less(t, len(k.c[0].Metadata), 700)
	m, ok := readBookmark(k.c[0])
	require.True(t, ok)
	require.Len(t, m.Open, 16)
	n, sum, ok := opened(m.Open[15])
	require.True(t, ok)
	require.EqualValues(t, math.MaxInt64-1, n)
	require.Equal(t, p.st.open[n].Checksum(), sum)
}

func FuzzReadBookmark(f *testing.F) {
	f.Add(`{"v":1,"t":"01000000-0000-0000-0000-000000000000","n":2,"l":5,"o":["1:abcdef01"]}`)
	f.Add(`{"v":2}`)
	f.Add("written by another program")
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := readBookmark(Commit{Metadata: s})
		require.False(t, ok && m.Version != 1)
		for _, o := range m.Open {
			if n, _, ok := opened(o); !ok {
				require.Zero(t, n)
			}
		}
	})
}

func TestWhereTheTopicStandsIsToldWithTheTimeWhenKafkaSaidSo(t *testing.T) {
	scenario(t, opts{}, func(l lab) { // 10 records, 2 seconds
		p := l.procs[0]
		l.rounds(p, 1)
		l.logs[0] = Log{First: 0, End: 15}
		l.rounds(p, 1)
		was := p.pl.State()
		require.Equal(t, []int64{0, 0, 10, 15}, []int64{was.Start[0], was.Low[0], was.Next[0], was.End[0]})
		require.EqualValues(t, 5, was.Unplanned[0])
		l.now += 60
		p.pl.snapshot(Logs{}) // a round to which Kafka gave no answer
		require.Equal(t, was, p.pl.State(), "what is known is as old as it was")
		l.rounds(p, 1)
		require.Greater(t, p.pl.State().Looked.Sub(was.Looked), time.Minute-time.Second)
	})
}
