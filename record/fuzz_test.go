package record

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzLog(f *testing.F)    { fuzz(f, Log) }
func FuzzMetric(f *testing.F) { fuzz(f, Metric) }
func FuzzEvent(f *testing.F)  { fuzz(f, Event) }

func fuzz(f *testing.F, kind Kind) {
	f.Helper()
	for _, s := range samples(kind) {
		if len(s.text) < 1000 {
			f.Add([]byte(s.text))
		}
	}
	block := NewBlock(kind)
	f.Fuzz(func(t *testing.T, text []byte) { compare(t, kind, block, text) })
}

// textReasons are faults of the text; the others are faults of a field.
var textReasons = []Reason{Empty, MalformedJSON, TruncatedJSON, TrailingData, InvalidUTF8, DuplicateKey, TooDeep}

// compare fails unless the block takes the text exactly if the oracle does, with
// the same values, and rejects it for a reason of the same sort.
func compare(t *testing.T, kind Kind, block *Block, text []byte) bool {
	t.Helper()
	if hugeExponent.Match(text) {
		return false
	}
	block.Reset()
	before := slices.Clone(text)
	err := block.Append(text, origin(0))
	require.Equal(t, before, text, "the value is read only")
	want, syntax, wrong := expect(kind, text)
	if wrong != nil {
		var bad *Rejected
		require.ErrorAs(t, err, &bad, "%.2000q: oracle: %v", text, wrong)
		require.Equal(t, syntax, slices.Contains(textReasons, bad.Reason), "%.2000q: %v, oracle: %v", text, bad, wrong)
		require.Zero(t, block.Rows())
		require.Zero(t, block.Bytes())
		return false
	}
	require.NoError(t, err, "%.2000q", text)
	clear(text) // the block must not refer to it
	require.Equal(t, []map[string]any{want}, rows(t, block), "%.2000q", before)
	return true
}

func TestBlockHoldsWhatTheOracleReads(t *testing.T) {
	for _, kind := range Kinds() {
		r := rand.New(rand.NewPCG(2, uint64(kind)))
		block := NewBlock(kind)
		accepted := 0
		for _, s := range samples(kind) {
			compare(t, kind, block, []byte(s.text))
		}
		for range 3000 {
			if compare(t, kind, block, mutate(r, generate(r, kind))) {
				accepted++
			}
		}
		require.Greater(t, accepted, 600, kind)
	}
}

// A block of many records, good and bad mixed, holds the good ones in order.
func TestBadRecordsLeaveTheirNeighboursAlone(t *testing.T) {
	for _, kind := range Kinds() {
		r := rand.New(rand.NewPCG(3, uint64(kind)))
		block := NewBlock(kind)
		for range 3 {
			block.Reset()
			require.Zero(t, block.Bytes())
			var want []map[string]any
			for len(want) < 50 {
				text := mutate(r, generate(r, kind))
				if hugeExponent.Match(text) {
					continue
				}
				expected, _, err := expect(kind, text)
				var bad *Rejected
				require.Equal(t, err != nil, errors.As(block.Append(text, origin(int64(len(want)))), &bad))
				if err == nil {
					want = append(want, expected)
				}
			}
			require.Equal(t, want, rows(t, block))
			offset := stored(t, block)["_offset"]
			for i := range want {
				require.Equal(t, int64(i), offset(i))
			}
		}
	}
}
