package record

import (
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"
)

// Values are slices of Kafka responses of megabytes; one that is referred to
// keeps the whole response in memory, and may be written over.
func TestBlockLetsGoOfTheValue(t *testing.T) {
	var blocks []*Block
	refs := map[string]weak.Pointer[byte]{}
	for _, kind := range Kinds() {
		for _, s := range samples(kind) {
			value := append(make([]byte, 0, len(s.text)+64), s.text...) // 64: the tiny ones share memory
			refs[s.text] = weak.Make(&value[:1][0])
			b := NewBlock(kind)
			_ = b.Append(value, origin(0))
			blocks = append(blocks, b)
		}
	}
	runtime.GC()
	for text, ref := range refs {
		require.Nil(t, ref.Value(), "%.200q", text)
	}
	runtime.KeepAlive(blocks)
}

// One odd record must not make its block's decoder large for ever.
func TestDecoderIsSmallAfterAnyRecord(t *testing.T) {
	b := NewBlock(Log)
	require.NoError(t, b.Append([]byte(manyKeys(Log, 20_000)), origin(0)))
	require.LessOrEqual(t, len(b.dec.names.slots), keptSlot)
	for range 10_000 {
		require.NoError(t, b.Append([]byte(goodLog), origin(0)))
	}
	require.Less(t, cap(b.dec.unescaped), 1000)
}
