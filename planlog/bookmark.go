package planlog

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ai-backlog/ingest/batch"
)

// bookmark is the metadata of every partition's committed offset.
type bookmark = batch.Bookmark

// readBookmark is not ok with what this program did not write.
func readBookmark(c Commit) (m bookmark, ok bool) { return batch.ReadBookmark(c.Metadata) }

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
// until an entry says so; and of where the log stood before an entry that makes
// way, which must not be passed over before it has; and of what a request has
// not been told of.
func (p *Planner) commit(ctx context.Context) error {
	st := p.st
	if !st.dirty && p.now().Sub(st.marked) < bookmarkEvery || len(st.back) > 0 && !p.off.noHold || st.standing() && !p.off.noKeep || len(st.told) > 0 {
		return nil
	}
	var list []string
	for _, n := range slices.Sorted(maps.Keys(st.open)) {
		list = append(list, fmt.Sprintf("%d:%s", n, st.open[n].Checksum()))
	}
	c := map[int32]Commit{}
	for part := range st.next {
		low := st.low(part)
		j, err := json.Marshal(bookmark{Version: 1, TopicID: st.topicID.String(), Number: st.n, Low: low, Open: list})
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
