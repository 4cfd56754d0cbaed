package record

import "hash/maphash"

const (
	fewNames = 16   // compared one by one
	keptSlot = 4096 // a larger table is not kept for the next record
)

// names finds repeated keys. Objects of up to fewNames keys are compared one by
// one; larger ones share a hash table, so that a record of 100,000 keys costs no
// more than its length.
type names struct {
	stack   [][]byte // the keys of all open objects
	many    []name   // all keys of the large ones
	slots   []int32  // open addressing: index into many plus one; the length is a power of two
	objects int      // large ones so far
	seed    maphash.Seed
}

type name struct {
	object int
	hash   uint64
	text   []byte
}

// reset lets go of the record's keys.
func (n *names) reset() {
	n.drop(0)
	if len(n.many) == 0 {
		return
	}
	clear(n.many)
	n.many, n.objects = n.many[:0], 0
	if len(n.slots) > keptSlot {
		n.many, n.slots = nil, nil
	}
	clear(n.slots)
}

// drop forgets the keys from base on: their object was closed.
func (n *names) drop(base int) {
	clear(n.stack[base:])
	n.stack = n.stack[:base]
}

// add tells whether the object's current key is new to it.
func (n *names) add(o *object) bool {
	mine := n.stack[o.base:]
	switch {
	case len(mine) < fewNames:
		for _, other := range mine {
			if string(other) == string(o.name) {
				return false
			}
		}
	case len(mine) == fewNames:
		n.objects++
		o.id = n.objects
		for _, other := range mine {
			n.insert(o.id, other)
		}
		fallthrough
	default:
		if !n.insert(o.id, o.name) {
			return false
		}
	}
	n.stack = append(n.stack, o.name)
	return true
}

func (n *names) insert(object int, text []byte) bool {
	if 2*len(n.many) >= len(n.slots) {
		n.grow()
	}
	hash := maphash.Bytes(n.seed, text) + uint64(object)*0x9e3779b97f4a7c15 //nolint:gosec // counts up from 1
	slot := n.free(hash, func(other name) bool {
		return other.hash == hash && other.object == object && string(other.text) == string(text)
	})
	if slot < 0 {
		return false
	}
	n.many = append(n.many, name{object, hash, text})
	n.slots[slot] = int32(len(n.many)) //nolint:gosec // Kafka's messages are smaller than 2 GiB
	return true
}

// free is the first free slot for the hash, -1 if one before it is the same.
func (n *names) free(hash uint64, same func(name) bool) int {
	mask := len(n.slots) - 1
	for slot := int(hash) & mask; ; slot = (slot + 1) & mask { //nolint:gosec // masked
		i := n.slots[slot]
		if i == 0 {
			return slot
		}
		if same(n.many[i-1]) {
			return -1
		}
	}
}

func (n *names) grow() {
	if len(n.slots) == 0 {
		n.seed = maphash.MakeSeed()
	}
	n.slots = make([]int32, max(64, 2*len(n.slots)))
	for i, other := range n.many {
		n.slots[n.free(other.hash, func(name) bool { return false })] = int32(i) + 1
	}
}
