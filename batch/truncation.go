package batch

import (
	"crypto/sha256"
	"fmt"
)

// Truncation is what an unclean election took from a partition: records that were
// planned, at offsets that others take.
type Truncation struct {
	Partition int32 `json:"p"`
	End       int64 `json:"end"`     // where the epoch ends now: from here on all records are others
	Planned   int64 `json:"planned"` // up to where it was planned
	Epoch     int32 `json:"e"`       // the leader epoch of what was planned
	Leader    int32 `json:"leader"`  // the one under which that was found
}

// String is one line for people.
func (t Truncation) String() string {
	return fmt.Sprintf("partition %d was planned up to %d and its epoch %d ends at %d", t.Partition, t.Planned, t.Epoch, t.End)
}

// Same tells whether both are the same loss, though another leader may tell of it.
func (t Truncation) Same(o Truncation) bool {
	return t.Partition == o.Partition && t.End == o.End && t.Epoch == o.Epoch
}

// Took tells whether the range has offsets of what was lost.
func (t Truncation) Took(r Range) bool { return r.Partition == t.Partition && r.Last >= t.End }

// KeptID is the topic ID under which rows of lost records are kept, so that new
// records at their offsets are not taken for stored. It is a function of the topic
// and the truncation alone, and never Kafka's: those are UUIDs of version 4, this is
// one of version 8.
func KeptID(id TopicID, t Truncation) (kept TopicID) {
	h := sha256.Sum256(fmt.Appendf(nil, "truncated/%s/%d/%d/%d/%d", id, t.Partition, t.End, t.Epoch, t.Leader))
	copy(kept[:], h[:])
	kept[6] = kept[6]&0x0f | 0x80
	kept[8] = kept[8]&0x3f | 0x80
	return kept
}

// ResumeID is the workflow ID of a request to go on after truncations. The same ones
// are asked for once at a time.
func ResumeID(group, topic string, id TopicID, ts []Truncation) string {
	h := sha256.New()
	for _, t := range ts {
		_, _ = fmt.Fprintf(h, "%d/%d/%d,", t.Partition, t.End, t.Epoch)
	}
	return ResumePrefix(Prefix(group, topic, id)) + fmt.Sprintf("%x", h.Sum(nil)[:6])
}

// ResumePrefix is what the IDs of all such requests begin with, under a topic's Prefix.
func ResumePrefix(prefix string) string { return prefix + "resume/" }
