package activities

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/kafka"
)

// Class says what a workflow does about an error. It is the error type that
// crosses Temporal.
type Class string

// The classes of trouble.
const (
	Outage   Class = "outage"       // not reachable, overloaded, unknown: wait, retry for ever
	Blocked  Class = "blocked"      // needs an operator: retry slowly, nothing is dead-lettered
	Rejected Class = "rejected"     // the server refused a value
	Lost     Class = "lost"         // Kafka has deleted what was to be read
	Expired  Class = "look_expired" // the look is too old or of another run: look again
	Disagree Class = "disagree"     // a second decoding, or trial, found other records at fault than the first
	// ViewAtFault is a workflow's conclusion: the server answered an error, but
	// the table has the rows, so a materialized view threw after it took them.
	ViewAtFault Class = "view_at_fault"
	// Decided is a workflow's too: an operator's decision ends the trying.
	Decided Class = "decided"
)

// Trouble is what an activity tells of its failure, at most about 1 KiB: over
// 4 KiB Temporal's server throws type and details away.
type Trouble struct {
	Class   Class  `json:"class"`
	Code    int    `json:"code,omitempty"` // ClickHouse's
	Name    string `json:"name"`           // error name, e.g. TOO_MANY_PARTS
	Message string `json:"message"`
	// Progress is where the next attempt goes on.
	Progress Progress `json:"progress"`
	// Block is how many offsets of the job, behind Progress.Done, the block has
	// that the server did not take.
	Block int64 `json:"block,omitempty"`
	// Gone is set with class Lost: the partition's first offset that is left.
	// Topic-wide loss has Partition -1.
	Gone *Gone `json:"gone,omitempty"`
}

// Gone is what Kafka no longer has: the offsets of a partition below Start, or,
// where an unclean election has truncated it, those from From on.
type Gone struct {
	Partition int32 `json:"partition"` // -1: the topic itself was deleted
	Start     int64 `json:"start"`
	Truncated bool  `json:"truncated,omitempty"` // Start is 0 then, so that a worker that knows no From loses nothing
	From      int64 `json:"from,omitempty"`
}

// maxMessage keeps a failure with all its parts near 1 KiB.
const maxMessage = 600

// fail makes the error that crosses Temporal. Only an outage is Temporal's to
// retry; its delay has jitter, which Temporal's own backoff lacks.
func fail(t Trouble) error {
	t.Message = short(t.Message)
	// The cause is not wrapped: its text is in the message, and would be sent twice.
	return temporal.NewApplicationErrorWithOptions(t.Message, string(t.Class), temporal.ApplicationErrorOptions{
		NonRetryable: t.Class != Outage, Details: []any{t}, Category: temporal.ApplicationErrorCategoryBenign,
	})
}

// failIn is fail inside an activity, where the attempt is known.
func failIn(ctx context.Context, t Trouble) error {
	t.Message = short(t.Message)
	err := fail(t)
	var app *temporal.ApplicationError
	if t.Class != Outage || !activity.IsActivity(ctx) || !errors.As(err, &app) {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(app.Message(), app.Type(), temporal.ApplicationErrorOptions{
		Details: []any{t}, Category: temporal.ApplicationErrorCategoryBenign, NextRetryDelay: retryDelay(activity.GetInfo(ctx).Attempt),
	})
}

func short(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}

// withProgress is the failure of an attempt that did nothing: what those before
// it left in doubt still is.
func withProgress(err error, from Progress) error {
	t := TroubleOf(err)
	t.Progress = from
	return fail(t)
}

// retryDelay grows from 1 s to 10 s, with jitter of a fifth either way, so that
// the batches of an outage do not all come back in the same moment.
func retryDelay(attempt int32) time.Duration {
	d := min(time.Second<<min(attempt-1, 4), 10*time.Second)
	return d*4/5 + rand.N(d*2/5) //nolint:gosec // jitter is no secret
}

// stopped is a trouble that an activity itself found.
type stopped struct{ trouble Trouble }

func (s *stopped) Error() string { return s.trouble.Message }

// troubleOf turns any error of Kafka or ClickHouse into a Trouble.
func troubleOf(err error) Trouble {
	var own *stopped
	var lost *kafka.LostError
	var torn *kafka.TruncatedError
	switch {
	case errors.As(err, &own):
		return own.trouble
	case errors.As(err, &lost):
		return Trouble{Class: Lost, Name: "KAFKA_RECORDS_LOST", Message: err.Error(), Gone: &Gone{Partition: lost.Partition, Start: lost.Start}}
	case errors.As(err, &torn):
		return Trouble{Class: Lost, Name: "KAFKA_TRUNCATED", Message: err.Error(), Gone: &Gone{Partition: torn.Partition, Truncated: true, From: torn.First}}
	case kafka.IsAuth(err):
		return Trouble{Class: Blocked, Name: "KAFKA_ACCESS_DENIED", Message: kafka.Hint(err).Error()}
	case errors.Is(err, kafka.ErrTopicGone):
		return Trouble{Class: Lost, Name: "KAFKA_TOPIC_DELETED", Message: err.Error(), Gone: &Gone{Partition: -1}}
	}
	var f *clickhouse.Failure
	if errors.As(err, &f) {
		return Trouble{Class: classOf(f.Class), Code: int(f.Code), Name: f.Name, Message: f.Message}
	}
	return Trouble{Class: Outage, Name: "UNREACHABLE", Message: kafka.Hint(err).Error()}
}

func classOf(c clickhouse.Class) Class {
	switch c {
	case clickhouse.Blocked:
		return Blocked
	case clickhouse.Rejected:
		return Rejected
	case clickhouse.Outage:
		return Outage
	}
	return Outage
}

// unknown is the progress of an attempt that could tell nothing.
var unknown = Progress{Doubt: true, Silent: true}

// TroubleOf reads back what an activity told of its failure. An activity that
// could tell nothing (its worker died, or it timed out) is an outage, in doubt
// unless its last heartbeat says otherwise.
func TroubleOf(err error) Trouble {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		var t Trouble
		if app.HasDetails() && app.Details(&t) == nil && t.Class != "" {
			return t
		}
		return Trouble{Class: Outage, Name: "ACTIVITY_FAILED", Message: app.Message(), Progress: unknown}
	}
	t := Trouble{Class: Outage, Name: "WORKER_LOST", Message: fmt.Sprint(err), Progress: unknown}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		t.Message = "the worker that had it stopped answering"
		if timeout.HasLastHeartbeatDetails() {
			if e := timeout.LastHeartbeatDetails(&t.Progress); e != nil {
				t.Progress = unknown
			}
		}
	}
	return t
}
