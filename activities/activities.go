package activities

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
)

// Timeouts that the promise rests on.
const (
	// LookValid is how long the answer of a look may be acted upon. It is far
	// shorter than a dedup window of 100,000 inserts lasts, so a resend within
	// it always meets its token.
	LookValid = 30 * time.Minute
	// HeartbeatTimeout is after how long Temporal gives an activity to another
	// worker. Long enough for a pause of the runtime, short enough that a
	// killed worker costs seconds.
	HeartbeatTimeout = 15 * time.Second
	// Quiet is how long an activity can outlive what Temporal knows of it: it
	// begins no insert once HeartbeatTimeout has passed without an accepted
	// heartbeat, and each insert has its own deadline.
	Quiet = clickhouse.InsertTimeout + HeartbeatTimeout

	beatEvery    = HeartbeatTimeout / 5
	maxFragments = 2000 // ranges that a look's answer may carry: ~60 KB of history
)

// heartbeater is the part of Temporal's client that reports progress and
// answers whether the activity is still ours.
type heartbeater interface {
	RecordActivityHeartbeat(ctx context.Context, taskToken []byte, details ...any) error
}

// Activities are the dependencies of all activities. Fields are read-only.
type Activities struct {
	Temporal heartbeater
	Batches  executions // what an await asks of the batches
	Reader   *kafka.Reader
	Producer *kgo.Client // copies of dead letters, and questions about topics and groups
	Looker   *clickhouse.Looker
	Inserter *clickhouse.Inserter
	Killer   *clickhouse.Killer
	Queries  driver.Conn            // everything that is neither a look nor a block
	Kinds    map[string]record.Kind // by topic

	LetterTopics LetterTopics
	Metrics      *Metrics

	free      sync.Map // by kind: *sync.Pool of *record.Block
	met       sync.Map // topics that took copies
	searching sync.Mutex
}

// lend hands out an empty block; columns keep their capacity between batches.
func (a *Activities) lend(kind record.Kind) *record.Block {
	if b, ok := a.pool(kind).Get().(*record.Block); ok {
		return b
	}
	return record.NewBlock(kind)
}

func (a *Activities) giveBack(kind record.Kind, b *record.Block) {
	b.Reset()
	a.pool(kind).Put(b)
}

func (a *Activities) pool(kind record.Kind) *sync.Pool {
	p, _ := a.free.LoadOrStore(kind, &sync.Pool{})
	return p.(*sync.Pool)
}

// Job is the part of a batch that one turn acts upon.
type Job struct {
	Workflow string        `json:"workflow"` // ID of the batch's workflow
	Nonce    string        `json:"nonce"`
	Topic    string        `json:"topic"`
	TopicID  batch.TopicID `json:"topic_id"`
	Limits   batch.Limits  `json:"limits"`
	Turn     int           `json:"turn"`
	// Run tells the tokens of a run that began again from those of the runs
	// before it, whose turns had the same numbers.
	Run    string       `json:"run,omitempty"`
	Ranges batch.Ranges `json:"ranges"`
	// Letters says that the records are read from the table dead_letters, by the
	// same coordinates, and go into the kind's table: a redrive.
	Letters bool `json:"letters,omitempty"`
	// Skip is what earlier turns have proven: what is absent there are holes, and a look does not list them again.
	Skip batch.Ranges `json:"skip,omitempty"`
	// Replay says that the batch is one: its records may be of long ago, which says nothing of how late the flow is.
	Replay bool `json:"replay,omitempty"`
	// Epochs are the partitions' leader epochs when the batch was planned: records
	// of newer ones have taken the offsets of those that were meant.
	Epochs map[int32]int32 `json:"epochs,omitempty"`
}

// EpochsOf are the known leader epochs of the partitions that the ranges are of,
// under which, or before, all records below the positions were written.
func EpochsOf(next []batch.Position, ranges batch.Ranges) map[int32]int32 {
	var out map[int32]int32
	for _, r := range ranges {
		i := slices.IndexFunc(next, func(p batch.Position) bool { return p.Partition == r.Partition })
		if i < 0 || next[i].Epoch < 0 || r.Last >= next[i].Offset {
			continue
		}
		if out == nil {
			out = map[int32]int32{}
		}
		out[r.Partition] = next[i].Epoch
	}
	return out
}

// JobOf is the job for some ranges of a batch in its k-th turn.
func JobOf(b batch.Batch, turn int, ranges batch.Ranges) Job {
	return Job{Workflow: b.ID(), Nonce: b.Nonce, Topic: b.Topic, TopicID: b.TopicID, Limits: b.Limits, Turn: turn, Ranges: ranges, Replay: b.Replay, Epochs: EpochsOf(b.Next, ranges)}
}

// token names exactly the rows of these offsets in this turn. The table is part
// of it by ClickHouse's own rule: a dedup window belongs to a table.
func (j Job) token(sent batch.Ranges) string {
	turn := strconv.Itoa(j.Turn)
	if j.Run != "" {
		turn += "-" + j.Run
	}
	return batch.Token(j.Workflow, j.Nonce, turn, sent)
}

func (a *Activities) kind(topic string) (record.Kind, error) {
	k, ok := a.Kinds[topic]
	if !ok {
		var none record.Kind
		return none, fail(Trouble{Class: Blocked, Name: "UNKNOWN_TOPIC", Message: "this worker does not know topic " + topic + ": set TOPIC_LOGS, TOPIC_METRICS or TOPIC_EVENTS as the consumer has them"})
	}
	return k, nil
}
