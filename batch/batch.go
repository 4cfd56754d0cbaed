package batch

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// TopicID is Kafka's 16-byte topic ID. A topic that was deleted and created
// again has another one, so rows of the two never mix.
type TopicID [16]byte

// String is the canonical UUID form, which is also how ClickHouse prints it.
func (t TopicID) String() string {
	h := hex.EncodeToString(t[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Short is the first 12 hex digits, the part that workflow IDs carry.
func (t TopicID) Short() string { return hex.EncodeToString(t[:6]) }

// MarshalText implements encoding.TextMarshaler with String.
func (t TopicID) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText accepts the UUID form.
func (t *TopicID) UnmarshalText(b []byte) error {
	raw, err := hex.DecodeString(strings.ReplaceAll(string(b), "-", ""))
	if err != nil || len(raw) != len(t) {
		return fmt.Errorf("topic ID %q is not a UUID", b)
	}
	copy(t[:], raw)
	return nil
}

// Limits says how a batch is cut into blocks. It is part of the batch, so that
// every attempt of every version of the worker cuts alike.
type Limits struct {
	BlockRecords int64 `json:"r"` // offsets per block
	BlockBytes   int64 `json:"b"` // bytes of keys and values after which a block is cut further: bounds memory
}

// BlockBytes is the usual bound: 100,000 records of 500 bytes. A block takes up
// to twice as much while its largest column grows, and three times with
// compression; three at once have to fit into what a worker may have.
const BlockBytes = 48 << 20

// Position is where a partition goes on: the next offset to plan, and the
// leader epoch of the record before it (-1: unknown), by which a truncation is told.
type Position struct {
	Partition int32 `json:"p"`
	Offset    int64 `json:"o"`
	Epoch     int32 `json:"e,omitempty"`
	// Aside is the number of the last entry that made way in the partition, from
	// offset End on: what earlier entries say of the offsets behind is of records
	// that are lost.
	Aside int64 `json:"w,omitempty"`
	End   int64 `json:"d,omitempty"`
}

// Batch is an entry of the plan log and the input of its workflow: a reference
// to records that stay in Kafka, never the records. Fields are only ever added.
type Batch struct {
	Group   string  `json:"group"`
	Topic   string  `json:"topic"`
	TopicID TopicID `json:"topic_id"`
	Number  int64   `json:"n"`
	// Nonce is random: a number can be used again after its workflow was
	// deleted, and its tokens must differ then.
	Nonce  string     `json:"nonce"`
	Ranges Ranges     `json:"ranges,omitempty"`
	Lost   Ranges     `json:"lost,omitempty"`   // deleted by Kafka before they were planned
	Opened Ranges     `json:"opened,omitempty"` // before the starting position of an opening: never ours
	Next   []Position `json:"next"`             // every partition of the topic after this entry, sorted
	Limits Limits     `json:"limits"`
	Replay bool       `json:"replay,omitempty"` // below the low watermark, asked for
	For    string     `json:"for,omitempty"`    // the request that it is for: whoever reads the entry can tell it
	// Truncated has the entry make way for the records that took the offsets of
	// lost ones: it has no ranges, and nothing else is started while it is open.
	Truncated []Truncation `json:"truncated,omitempty"`
	// Turn is where a continued run goes on counting its insert turns.
	Turn int `json:"turn,omitempty"`
	// Again says that inserts of an earlier run, or of an entry that Temporal
	// lost, may still be on their way.
	Again bool `json:"again,omitempty"`
	// Approved is an operator's word that many dead letters are right, which a
	// continued run has from the one before.
	Approved bool `json:"approved,omitempty"`
	// Proven is how far a continued run's predecessors have got.
	Proven *Proven `json:"proven,omitempty"`
}

// Proven is the part of a batch that clean turns have been through: what is
// still absent there was lost, or is a hole.
type Proven struct {
	Ranges Ranges `json:"ranges,omitempty"`
	Lost   Ranges `json:"lost,omitempty"`
	Holes  int64  `json:"holes"`
}

// ID is the workflow's ID: <group>/<topic>/<12 hex digits of the topic ID>/<n>.
// Temporal lets it exist once, which is the plan log's compare-and-swap.
func (b Batch) ID() string { return ID(b.Group, b.Topic, b.TopicID, b.Number) }

// ID is the workflow ID of a topic's batch n.
func ID(group, topic string, id TopicID, n int64) string {
	return Prefix(group, topic, id) + strconv.FormatInt(n, 10)
}

// Prefix is what the IDs of all batches of a topic begin with.
func Prefix(group, topic string, id TopicID) string {
	return group + "/" + topic + "/" + id.Short() + "/"
}

// RedriveID is the workflow ID of a topic's redrive: one at a time.
func RedriveID(group, topic string) string { return group + "/" + topic + "/redrive" }

// ReplayID is the workflow ID of a request to replay ranges of a topic. It is under the topic's prefix and no batch's ID.
func ReplayID(group, topic string, id TopicID, name string) string {
	return ReplayPrefix(Prefix(group, topic, id)) + name
}

// ReplayPrefix is what the IDs of all replay requests begin with, under a topic's Prefix.
func ReplayPrefix(prefix string) string { return prefix + "replay/" }

// Summary is the one line that Temporal's UI lists: topic, number, records.
func (b Batch) Summary() string {
	if len(b.Truncated) > 0 {
		return fmt.Sprintf("%s %d: makes way after a truncation of %d partitions", b.Topic, b.Number, len(b.Truncated))
	}
	if len(b.Ranges) == 0 {
		return fmt.Sprintf("%s %d: no records", b.Topic, b.Number)
	}
	parts := map[int32]bool{}
	for _, r := range b.Ranges {
		parts[r.Partition] = true
	}
	return fmt.Sprintf("%s %d: %d records of %d partitions", b.Topic, b.Number, b.Ranges.Len(), len(parts))
}

// Checksum names the entry's content in a bookmark: another checksum under the
// same number is another entry. What runs leave to each other does not count: a
// continued or restarted run has the same content; nor does For, which says
// nothing of it.
func (b Batch) Checksum() string {
	b.Turn, b.Again, b.Approved, b.Proven, b.For = 0, false, false, nil, ""
	j, err := json.Marshal(b)
	if err != nil { // every field marshals
		return ""
	}
	h := sha256.Sum256(j)
	return hex.EncodeToString(h[:4])
}

// Token is the deduplication token, and the query ID, of one INSERT: the
// workflow, its nonce, the turn, and a hash of exactly the offsets that are
// sent. A different set of rows never shares a token, since the server drops
// the second one silently.
func Token(workflowID, nonce, turn string, sent Ranges) string {
	h := sha256.New()
	for _, r := range sent {
		_, _ = fmt.Fprintf(h, "%d:%d-%d,", r.Partition, r.First, r.Last)
	}
	return TokenPrefix(workflowID, nonce) + turn + "/" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// TokenPrefix is what every token of a batch begins with.
func TokenPrefix(workflowID, nonce string) string { return workflowID + "/" + nonce + "/" }
