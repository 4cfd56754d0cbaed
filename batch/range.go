package batch

import (
	"cmp"
	"fmt"
	"slices"
)

// Range is the offsets [First, Last] of one partition, both ends included. A
// Range with Last < First is empty.
type Range struct {
	Partition int32 `json:"p"`
	First     int64 `json:"f"`
	Last      int64 `json:"l"`
}

// Len is the number of offsets, which is at least the number of records:
// compaction and transactions leave holes.
func (r Range) Len() int64 { return max(0, r.Last-r.First+1) }

// Overlaps tells whether the two ranges share an offset of the same partition.
func (r Range) Overlaps(o Range) bool {
	return r.Partition == o.Partition && r.First <= o.Last && o.First <= r.Last
}

// String is partition[first,last], as the logs and the UI print it.
func (r Range) String() string { return fmt.Sprintf("%d[%d,%d]", r.Partition, r.First, r.Last) }

// Ranges is sorted by partition, then by first offset, and free of overlaps.
type Ranges []Range

// Len is the number of offsets of all ranges.
func (rs Ranges) Len() (n int64) {
	for _, r := range rs {
		n += r.Len()
	}
	return n
}

// Overlaps tells whether any offset is in both.
func (rs Ranges) Overlaps(os Ranges) bool {
	return slices.ContainsFunc(rs, func(r Range) bool { return slices.ContainsFunc(os, r.Overlaps) })
}

// Contains tells whether the offset is in one of the ranges.
func (rs Ranges) Contains(partition int32, offset int64) bool {
	i, ok := slices.BinarySearchFunc(rs, Range{Partition: partition, First: offset}, compare)
	if ok {
		return rs[i].Len() > 0
	}
	return i > 0 && rs[i-1].Partition == partition && offset <= rs[i-1].Last
}

// Sub is the offsets of rs that are not in os; both are sorted.
func (rs Ranges) Sub(os Ranges) Ranges {
	var out Ranges
	for _, r := range rs {
		for len(os) > 0 && (os[0].Partition < r.Partition || os[0].Partition == r.Partition && os[0].Last < r.First) {
			os = os[1:] // both are sorted: what lies before this range lies before all that follow
		}
		for _, o := range os {
			if o.Partition > r.Partition || o.Partition == r.Partition && o.First > r.Last {
				break
			}
			if !r.Overlaps(o) {
				continue
			}
			if o.First > r.First {
				out = append(out, Range{r.Partition, r.First, o.First - 1})
			}
			if r.First = o.Last + 1; r.Len() == 0 {
				break
			}
		}
		if r.Len() > 0 {
			out = append(out, r)
		}
	}
	return out
}

// Slice is n offsets after the first skip ones, in order; less if there are less.
func (rs Ranges) Slice(skip, n int64) Ranges {
	var out Ranges
	for _, r := range rs {
		passed := min(skip, r.Len())
		skip -= passed
		r.First += passed
		if r.Len() > n {
			r.Last = r.First + n - 1
		}
		if r.Len() > 0 {
			n -= r.Len()
			out = append(out, r)
		}
	}
	return out
}

// Sort orders the ranges and joins those that touch or overlap.
func (rs Ranges) Sort() Ranges {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, compare)
	var out Ranges
	for _, r := range rs {
		if r.Len() == 0 {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Partition == r.Partition && out[n-1].Last >= r.First-1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Cut returns slices of at most size offsets each, in order: the blocks of a
// batch before bytes are known. The same input always gives the same cut.
func (rs Ranges) Cut(size int64) []Ranges {
	var out []Ranges
	var cur Ranges
	var n int64
	for _, r := range rs {
		for r.Len() > 0 {
			part := Range{r.Partition, r.First, min(r.Last, r.First+size-n-1)}
			cur = append(cur, part)
			r.First = part.Last + 1
			if n += part.Len(); n == size {
				out, cur, n = append(out, cur), nil, 0
			}
		}
	}
	if len(cur) > 0 {
		out = append(out, cur)
	}
	return out
}

func compare(a, b Range) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.First, b.First))
}
