package batch

import "encoding/json"

// Bookmark is the metadata of every partition's committed offset. Kafka bounds
// it to 4,096 characters; with a window of 16 it is about 450.
type Bookmark struct {
	Version int    `json:"v"`
	TopicID string `json:"t"`
	Number  int64  `json:"n"` // of the next entry: whoever wrote it lists all below that are open
	Low     int64  `json:"l"` // the offset it was committed with: a foreign commit shows
	// Open is number:checksum of each open entry, by number.
	Open []string `json:"o,omitempty"`
}

// ReadBookmark is not ok with what this program did not write.
func ReadBookmark(metadata string) (m Bookmark, ok bool) {
	err := json.Unmarshal([]byte(metadata), &m)
	return m, err == nil && m.Version == 1
}
