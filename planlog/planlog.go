package planlog

import (
	"context"
	"errors"
	"time"

	"github.com/ai-backlog/ingest/batch"
)

var (
	// ErrExists is Start's answer when the workflow ID is taken.
	ErrExists = errors.New("workflow ID exists")
	// ErrNotFound is what Temporal's current state says, never a guess: on it
	// the records of a batch are planned again.
	ErrNotFound = errors.New("workflow not found")
	// ErrTruncated stops a topic: Kafka lost records that were planned (an
	// unclean leader election), and new ones take their offsets.
	ErrTruncated = errors.New("topic was truncated below what is planned")
)

// Log is one partition: log start and last stable offset (both as Kafka says
// them: First is the first record there is, End is one past the last), and the
// leader epoch that came with End, -1 if unknown.
type Log struct {
	First, End int64
	Epoch      int32
}

// Logs is all partitions of the topic at one look.
type Logs struct {
	TopicID    batch.TopicID
	Partitions map[int32]Log
}

// Commit is a partition's committed offset and its metadata.
type Commit struct {
	Offset   int64
	Metadata string
}

// Kafka is what the planner asks of the topic and the group. Any error means
// that the outcome is unknown; the planner tries again at its next round.
type Kafka interface {
	// Logs looks at every partition of the topic, without exception. The topic
	// ID was the same before and after, else it is an error.
	Logs(ctx context.Context) (Logs, error)
	// EpochEnds asks OffsetForLeaderEpoch with each position's epoch: the end
	// of that epoch in the log as it is now. A partition whose leader says that
	// it does not know is left out; one that does not answer is an error. It is
	// called when a leader epoch changed.
	EpochEnds(ctx context.Context, at []batch.Position) (map[int32]int64, error)
	// Fetch is all committed offsets of the group for the topic, fresh from
	// the coordinator (require stable). A partition without one is left out.
	Fetch(ctx context.Context) (map[int32]Commit, error)
	// Commit writes all partitions, not atomically, and fails if one of them
	// failed. It is refused if the group was empty at any time since the
	// planner was made: an operator may have moved offsets then.
	Commit(ctx context.Context, id batch.TopicID, c map[int32]Commit) error
}

// Status of a batch's workflow.
type Status int

// Failed is every closed state but completed: terminated, cancelled, failed,
// timed out.
const (
	Running Status = iota
	Completed
	Failed
)

func (s Status) String() string { return [...]string{"running", "completed", "failed"}[s] }

// Replay is an open request to make every offset of the ranges present once
// (rule 9).
type Replay struct {
	ID        string       // names the request in Answer
	Ranges    batch.Ranges // what no answer has covered yet
	NotBefore time.Time    // the quiet time after rows were erased by hand; zero: now
}

// Resume is an open request to go on after truncations (rule 10).
type Resume struct {
	ID        string
	Truncated []batch.Truncation
}

// Temporal is what the planner asks of the workflows. An error other than
// ErrExists and ErrNotFound means that the outcome is unknown.
type Temporal interface {
	// Start starts b.ID() with b as input, REJECT_DUPLICATE (again:
	// ALLOW_DUPLICATE_FAILED_ONLY); ErrExists if the ID is taken.
	Start(ctx context.Context, b batch.Batch, again bool) error
	// Get is the input and the status of the workflow's current run (after an
	// operator's reset the new one), never from a cache; or ErrNotFound.
	Get(ctx context.Context, id string) (batch.Batch, Status, error)
	// Poll is the cheap status of an open batch, with the Outcome when it is
	// Completed. It may be as old as a watcher makes it, except ErrNotFound,
	// which was answered within the last seconds.
	Poll(ctx context.Context, id string) (Status, batch.Outcome, error)
	// List asks visibility for the numbers under the prefix: all that are not
	// completed, and one page of the newest. It may lag behind.
	List(ctx context.Context, prefix string) (map[int64]Status, error)
	// Replays is the open requests of the topic, oldest first.
	Replays(ctx context.Context, prefix string) ([]Replay, error)
	// Resumes is the open requests to go on. It is asked of a topic that was
	// truncated only.
	Resumes(ctx context.Context, prefix string) ([]Resume, error)
	// Answer tells a request that entry n was appended for these ranges. It
	// may be told twice, and by more than one planner; when another entry has
	// the number by now, that one does not count. The request stays open until the entries it was told
	// of have completed: one that vanishes must be asked for again, because
	// the planner does not remember it.
	Answer(ctx context.Context, id string, n int64, planned batch.Ranges) error
}

// Config is what a planner needs to know; New fills no defaults in.
type Config struct {
	Group, Topic string
	Window       int           // open batches at most, so that an outage is no retry storm
	Records      int64         // offsets per batch at most
	Bytes        int64         // per batch, estimated from what the last batches reported
	Linger       time.Duration // a record that the planner sees waits at most so long for a fuller batch
	Quiet        time.Duration // how long an insert can outlive what Temporal knows of it
	Retention    time.Duration // of Temporal's namespace: state older than a quarter is dropped
	Latest       bool          // a topic without any committed offset starts at its end, not its start
	Limits       batch.Limits  // written into every batch
}

// Observer is told what happened; nil functions are left out. Each is called
// from Tick and must not block.
type Observer struct {
	Planned   func(batch.Batch) // this planner appended the entry
	Completed func(batch.Batch, batch.Outcome)
	Lost      func(batch.Batch) // appended with Lost: Kafka deleted records before they were planned
	Restarted func(batch.Batch) // somebody ended it; it was started again
	Vanished  func(batch.Batch) // unknown to Temporal; its ranges are planned again
}

// Snapshot is the state after the last round, for metrics.
type Snapshot struct {
	Ready     bool // false until a takeover succeeded, and while stopped
	TopicID   batch.TopicID
	Number    int64           // of the next entry
	Open      int             // batches that are not completed
	Quiet     bool            // nothing is started before the quiet time has passed
	Looked    time.Time       // when Kafka last told of the partitions
	Unplanned map[int32]int64 // per partition, offsets that no batch owns yet
	Start     map[int32]int64 // log starts
	Next      map[int32]int64 // where the next batch starts
	Low       map[int32]int64 // low watermarks
	End       map[int32]int64 // last stable offsets; End - Low is the lag
}
