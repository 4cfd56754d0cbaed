package batch

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type coord struct {
	p int32
	o int64
}

func set(rs Ranges) map[coord]bool {
	m := map[coord]bool{}
	for _, r := range rs {
		for o := r.First; o <= r.Last; o++ {
			m[coord{r.Partition, o}] = true
		}
	}
	return m
}

func draw(t *rapid.T, name string) Ranges {
	return Ranges(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Range {
		f := rapid.Int64Range(0, 60).Draw(t, "first")
		return Range{rapid.Int32Range(0, 2).Draw(t, "partition"), f, f + rapid.Int64Range(-1, 20).Draw(t, "len")}
	}), 0, 8).Draw(t, name)).Sort()
}

func TestRangesAreSetsOfOffsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		as, bs := set(a), set(b)
		require.EqualValues(t, len(as), a.Len())
		want := map[coord]bool{}
		shared := false
		for c := range as {
			if bs[c] {
				shared = true
			} else {
				want[c] = true
			}
		}
		require.Equal(t, want, set(a.Sub(b)))
		require.Equal(t, shared, a.Overlaps(b))
		for p := range int32(3) {
			for o := int64(-1); o < 90; o++ {
				require.Equal(t, as[coord{p, o}], a.Contains(p, o), "%d/%d in %v", p, o, a)
			}
		}
	})
}

func TestCutOwnsEveryOffsetOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := draw(t, "a")
		size := rapid.Int64Range(1, 30).Draw(t, "size")
		var all Ranges
		blocks := a.Cut(size)
		for i, b := range blocks {
			require.LessOrEqual(t, b.Len(), size)
			if i < len(blocks)-1 {
				require.Equal(t, size, b.Len())
			}
			all = append(all, b...)
		}
		require.Equal(t, a.Len(), all.Len())
		require.Equal(t, set(a), set(all))
	})
}

func TestSliceIsTheOffsetsAtItsPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := draw(t, "a")
		all := a.Cut(1)
		skip, n := rapid.Int64Range(0, 70).Draw(t, "skip"), rapid.Int64Range(0, 70).Draw(t, "n")
		var want Ranges
		for i := skip; i < min(skip+n, int64(len(all))); i++ {
			want = append(want, all[i]...)
		}
		require.Equal(t, set(want), set(a.Slice(skip, n)))
		require.Equal(t, want.Len(), a.Slice(skip, n).Len())
	})
}

func TestTokenNamesExactlyTheRowsSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		same := Token("g/t/x/1", "n", "0", a) == Token("g/t/x/1", "n", "0", b)
		require.Equal(t, len(set(a)) == len(set(b)) && a.Sub(b).Len() == 0, same)
	})
	require.NotEqual(t, Token("w", "n", "0", nil), Token("w", "n", "1", nil))
	require.NotEqual(t, Token("w", "n", "0", nil), Token("w", "m", "0", nil))
}

func TestTopicIDTextRoundTrip(t *testing.T) {
	id := TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	var back TopicID
	require.NoError(t, back.UnmarshalText([]byte(id.String())))
	require.Equal(t, id, back)
	require.Error(t, back.UnmarshalText([]byte("nope")))
	require.Equal(t, "group/topic/010203040506/7", ID("group", "topic", id, 7))
	require.Equal(t, "group/topic/010203040506/replay/name", ReplayID("group", "topic", id, "name"))
}
