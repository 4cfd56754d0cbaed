package batch

import "math/bits"

// wordSize is how many offsets a word of a bitmap has, which is what a word of
// the tables' projection has.
const wordSize = 64

// Bitmap is a set of offsets of one range, at an eighth of a byte each: a
// million of them is 128 KiB whatever is in it, where ranges could be 12 MiB.
// Bit i of word w is offset (word+w)*64+i. Operations take bitmaps of the same
// range, and nothing outside of it is ever in one.
type Bitmap struct {
	of    Range
	word  int64 // of the first offset
	words []uint64
}

// NewBitmap is the empty set of offsets of the range, which begins at 0 or later.
func NewBitmap(of Range) *Bitmap {
	b := &Bitmap{of: of, word: of.First / wordSize}
	if of.Len() > 0 {
		b.words = make([]uint64, of.Last/wordSize-b.word+1)
	}
	return b
}

// Of is the range that the bitmap is of.
func (b *Bitmap) Of() Range { return b.of }

// Clone is a copy that can be changed.
func (b *Bitmap) Clone() *Bitmap {
	c := *b
	c.words = append([]uint64(nil), b.words...)
	return &c
}

// Add adds the offsets of r that the bitmap's range has.
func (b *Bitmap) Add(r Range) {
	if !r.Overlaps(b.of) || r.Len() == 0 || b.of.Len() == 0 {
		return
	}
	first, last := max(r.First, b.of.First), min(r.Last, b.of.Last)
	for w := first / wordSize; w <= last/wordSize; w++ {
		mask := ^uint64(0)
		if w == first/wordSize {
			mask <<= first % wordSize
		}
		if w == last/wordSize {
			mask &= ^uint64(0) >> (wordSize - 1 - last%wordSize)
		}
		b.words[w-b.word] |= mask
	}
}

// AddWord adds the offsets of word number w that the set bits stand for.
func (b *Bitmap) AddWord(w int64, set uint64) {
	i := w - b.word
	if i < 0 || i >= int64(len(b.words)) {
		return
	}
	if i == 0 {
		set &= ^uint64(0) << (b.of.First % wordSize)
	}
	if i == int64(len(b.words))-1 {
		set &= ^uint64(0) >> (wordSize - 1 - b.of.Last%wordSize)
	}
	b.words[i] |= set
}

// Has tells whether the offset is in the set.
func (b *Bitmap) Has(offset int64) bool {
	i := offset/wordSize - b.word
	return i >= 0 && i < int64(len(b.words)) && b.words[i]&(1<<(offset%wordSize)) != 0
}

// Len is the number of offsets.
func (b *Bitmap) Len() (n int64) {
	for _, w := range b.words {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

// And is the offsets that both have.
func (b *Bitmap) And(o *Bitmap) *Bitmap {
	c := b.Clone()
	for i := range c.words {
		c.words[i] &= o.words[i]
	}
	return c
}

// Sub is the offsets that o does not have.
func (b *Bitmap) Sub(o *Bitmap) *Bitmap {
	c := b.Clone()
	for i := range c.words {
		c.words[i] &^= o.words[i]
	}
	return c
}

// Ranges calls each with every run of offsets, in order, until it is false.
func (b *Bitmap) Ranges(each func(Range) bool) {
	r := Range{Partition: b.of.Partition, First: -1}
	for i, w := range b.words {
		base := (b.word + int64(i)) * wordSize
		for at := 0; at < wordSize; {
			rest := w >> at
			if r.First < 0 { // look for the next offset in the set
				n := bits.TrailingZeros64(rest)
				if at += n; at < wordSize {
					r.First = base + int64(at)
				}
				continue
			}
			n := bits.TrailingZeros64(^rest) // and for the next one that is not
			if at+n >= wordSize {
				break
			}
			at += n
			r.Last = base + int64(at) - 1
			if !each(r) {
				return
			}
			r.First = -1
		}
	}
	if r.First >= 0 {
		r.Last = b.of.Last
		each(r)
	}
}
