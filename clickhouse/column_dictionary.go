package clickhouse

import (
	"encoding/binary"
	"hash/maphash"
)

// dictionary numbers distinct strings in the order of their first use. Unlike a
// map[string]uint32 it allocates nothing for a new string once it has grown.
type dictionary struct {
	seed  maphash.Seed
	table []uint32 // open addressing: index into words plus one, 0 is free; the length is a power of two
	words []word
	buf   []byte // the words as they are sent: length, bytes
}

type word struct {
	hash     uint32
	next     uint32 // the word that came after this one the last time
	from, to int
}

func newDictionary() dictionary {
	return dictionary{seed: maphash.MakeSeed(), table: make([]uint32, 64)}
}

func (d *dictionary) at(i uint32) []byte { return d.buf[d.words[i].from:d.words[i].to] }

// after is the index of b, which comes after the word last. What came after it the last time is tried first: a column of one value,
// and the keys of maps that are all alike, need no hash.
func (d *dictionary) after(last uint32, b []byte) uint32 {
	guess := d.words[last].next
	if string(d.at(guess)) == string(b) {
		return guess
	}
	n := d.index(b)
	d.words[last].next = n
	return n
}

func (d *dictionary) index(b []byte) uint32 {
	hash := uint32(maphash.Bytes(d.seed, b)) //nolint:gosec // half of the hash is enough
	mask := uint32(len(d.table) - 1)         //nolint:gosec // grown by doubling from 64
	slot := hash & mask
	for d.table[slot] != 0 {
		if i := d.table[slot] - 1; d.words[i].hash == hash && string(d.at(i)) == string(b) {
			return i
		}
		slot = (slot + 1) & mask
	}
	return d.add(slot, hash, b)
}

func (d *dictionary) add(slot, hash uint32, b []byte) uint32 {
	d.buf = binary.AppendUvarint(d.buf, uint64(len(b)))
	from := len(d.buf)
	d.buf = append(d.buf, b...)
	n := uint32(len(d.words)) + 1 //nolint:gosec // a block has far fewer rows
	d.words = append(d.words, word{hash: hash, next: n - 1, from: from, to: len(d.buf)})
	d.table[slot] = n
	if 2*len(d.words) > len(d.table) {
		d.grow()
	}
	return n - 1
}

func (d *dictionary) grow() {
	d.table = make([]uint32, 2*len(d.table))
	mask := uint32(len(d.table) - 1) //nolint:gosec // grown by doubling from 64
	for i, w := range d.words {
		slot := w.hash & mask
		for d.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		d.table[slot] = uint32(i) + 1
	}
}

func (d *dictionary) reset() {
	clear(d.table)
	d.words, d.buf = d.words[:0], d.buf[:0]
}
