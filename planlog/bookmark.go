package planlog

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// bookmark is the metadata of every partition's committed offset. Kafka bounds
// it to 4,096 characters; with a window of 16 it is about 450.
type bookmark struct {
	Version int    `json:"v"`
	TopicID string `json:"t"`
	Number  int64  `json:"n"` // of the next entry: whoever wrote it lists all below that are open
	Low     int64  `json:"l"` // the offset it was committed with: a foreign commit shows
	// Open is number:checksum of each open entry, by number.
	Open []string `json:"o,omitempty"`
}

// readBookmark is not ok with what this program did not write.
func readBookmark(c Commit) (m bookmark, ok bool) {
	err := json.Unmarshal([]byte(c.Metadata), &m)
	return m, err == nil && m.Version == 1
}

// opened is one element of Open.
func opened(s string) (n int64, sum string, ok bool) {
	num, sum, ok := strings.Cut(s, ":")
	n, err := strconv.ParseInt(num, 10, 64)
	if !ok || err != nil {
		return 0, "", false
	}
	return n, sum, true
}

// commit writes the bookmark (rule 4): a hint where the log ends, and a true
// lag. The old one is the memory of what must be planned again, so it stays
// until an entry says so.
func (p *Planner) commit(ctx context.Context) error {
	st := p.st
	if !st.dirty && p.now().Sub(st.marked) < bookmarkEvery || len(st.back) > 0 && !p.off.noHold {
		return nil
	}
	var list []string
	for _, n := range slices.Sorted(maps.Keys(st.open)) {
		list = append(list, fmt.Sprintf("%d:%s", n, st.open[n].Checksum()))
	}
	c := map[int32]Commit{}
	for part := range st.next {
		low := st.low(part)
		j, err := json.Marshal(bookmark{1, st.topicID.String(), st.n, low, list})
		if err != nil {
			return err
		}
		c[part] = Commit{low, string(j)}
	}
	err := p.kafka.Commit(ctx, st.topicID, c)
	if st.dirty = err != nil; !st.dirty {
		st.marked = p.now()
	}
	return err
}
