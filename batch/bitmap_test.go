package batch

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestABitmapIsASetOfOffsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Int64Range(0, 300).Draw(t, "first")
		of := Range{1, first, first + rapid.Int64Range(-1, 400).Draw(t, "len")}
		fill := func(name string) (*Bitmap, map[coord]bool) {
			b, want := NewBitmap(of), map[coord]bool{}
			for range rapid.IntRange(0, 6).Draw(t, name) {
				f := rapid.Int64Range(0, 800).Draw(t, "f")
				r := Range{rapid.SampledFrom([]int32{1, 1, 1, 2}).Draw(t, "p"), f, f + rapid.Int64Range(-1, 200).Draw(t, "l")}
				b.Add(r)
				w, set := rapid.Int64Range(0, 15).Draw(t, "w"), rapid.Uint64().Draw(t, "set")
				b.AddWord(w, set)
				for o := of.First; o <= of.Last; o++ {
					if r.Partition == 1 && r.First <= o && o <= r.Last || o/64 == w && set&(1<<(o%64)) != 0 {
						want[coord{1, o}] = true
					}
				}
			}
			return b, want
		}
		list := func(b *Bitmap) (rs Ranges) {
			b.Ranges(func(r Range) bool { rs = append(rs, r); return true })
			return rs
		}
		a, as := fill("a")
		b, bs := fill("b")
		require.Equal(t, as, set(list(a)))
		require.Equal(t, list(a), list(a).Sort(), "runs, in order")
		require.EqualValues(t, len(as), a.Len())
		both, only := map[coord]bool{}, map[coord]bool{}
		for c := range as {
			if bs[c] {
				both[c] = true
			} else {
				only[c] = true
			}
		}
		require.Equal(t, both, set(list(a.And(b))))
		require.Equal(t, only, set(list(a.Sub(b))))
		require.Equal(t, as, set(list(a)), "operations change nothing")
		for o := range int64(900) {
			require.Equal(t, as[coord{1, o}], a.Has(o), "%d", o)
		}
		n := 0
		a.Ranges(func(Range) bool { n++; return n < 2 })
		require.Equal(t, min(2, len(list(a))), n)
	})
}
