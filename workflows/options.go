package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
)

const (
	// TaskQueue is where batches and their activities are worked on.
	TaskQueue = "ai-backlog-ingest"
	// OperationsQueue is where replays, redrives and audits are worked on: one
	// that takes hours must not take the place of a batch.
	OperationsQueue = "ai-backlog-operations"
)

// Search attributes by which operators find batches in Temporal's UI. The good
// path sets only the first two, at its start.
var (
	AttributeTopic       = temporal.NewSearchAttributeKeyKeyword("IngestTopic")
	AttributeRecords     = temporal.NewSearchAttributeKeyInt64("IngestRecords")
	AttributeState       = temporal.NewSearchAttributeKeyKeyword("IngestState")
	AttributeError       = temporal.NewSearchAttributeKeyKeyword("IngestError")
	AttributeDeadLetters = temporal.NewSearchAttributeKeyInt64("IngestDeadLetters")
)

const (
	// attemptTimeout bounds one activity: a batch of 64 MiB takes seconds, a
	// slow server minutes.
	attemptTimeout = 30 * time.Minute
	// lookTimeout bounds one look: 40 ms are usual, a server that merges hard
	// may take seconds.
	lookTimeout = 45 * time.Second
	// askTimeout bounds one question to Temporal, and is what the death of the worker that asks costs.
	askTimeout = 15 * time.Second
	// roundAttempts makes a round of about ten minutes at 1 s … 10 s. A round
	// that ends is an event in the history, so the history tells of the outage
	// without growing by each try.
	roundAttempts = 60
	// blockedEvery is how often a blocked batch tries by itself: an operator
	// who mended the cause sees it go on within a minute.
	blockedEvery = time.Minute
	// maxIdleTurns is how many turns may change nothing before a batch whose
	// books do not balance is blocked.
	maxIdleTurns = 3
	// deletedTurns is how often in a row Kafka has to say that a topic was deleted, a minute apart: one broker behind the others,
	// or one worker on the wrong cluster, should not make records count as lost.
	deletedTurns = 10
	// floodRecords is the size of a batch from which on the flood guard watches:
	// of a few records more than half can be bad by chance.
	floodRecords = 100
)

// pace is how often an activity is tried before its failure is the workflow's.
type pace int

const (
	// single is the first try, and the slow tries of a blocked batch: its
	// failure ends the activity, so that the workflow can say how it stands.
	single pace = iota
	// round is a stretch of an outage: Temporal tries again, counted and
	// explained in the UI's pending activities. The delays come from the
	// activity, with jitter; these are for failures that it could not tell of.
	round
)

func (p pace) policy() *temporal.RetryPolicy {
	if p == single {
		return &temporal.RetryPolicy{MaximumAttempts: 1}
	}
	return &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second, MaximumAttempts: roundAttempts}
}

// long is for activities that read and write a batch: they heartbeat.
func long(ctx workflow.Context, p pace) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: attemptTimeout, HeartbeatTimeout: activities.HeartbeatTimeout, RetryPolicy: p.policy(), WaitForCancellation: true})
}

// short is for activities that ask one question.
func short(ctx workflow.Context, p pace) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: lookTimeout, RetryPolicy: p.policy()})
}

// patient is for the question whether a batch has ended, which is tried for ever: 250 ms after the first try, backing off to two
// seconds, as long as the batch takes. One question takes milliseconds.
func patient(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: askTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 250 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 2 * time.Second},
	})
}

// local is the first look: its answer is recorded, and no task queue is between.
func local(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: lookTimeout, RetryPolicy: single.policy()})
}
