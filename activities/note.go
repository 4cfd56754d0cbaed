package activities

import (
	"context"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/ai-backlog/ingest/clickhouse"
)

// Exception is why offsets will never be rows.
type Exception string

// The kinds of exception.
const (
	ExceptionLost    Exception = "lost"    // Kafka deleted it before it was read
	ExceptionSkipped Exception = "skipped" // an operator dropped it
	ExceptionOpened  Exception = "opened"  // before the group's starting position: never ours
)

// NoteInput says which of a batch's ranges are to be remembered, and why.
type NoteInput struct {
	Job
	Kind   Exception `json:"kind"`
	Reason string    `json:"reason"`
}

// Note writes the job's ranges into ingest_exceptions, because Temporal forgets
// after its retention and audit must know. Exact by its token.
func (a *Activities) Note(ctx context.Context, in NoteInput) error {
	ctx = driver.Context(ctx, driver.WithSettings(driver.Settings{
		"insert_deduplication_token": in.token(in.Ranges) + "/" + string(in.Kind), "deduplicate_blocks_in_dependent_materialized_views": 1, "async_insert": 0,
	}))
	err := blips(ctx, func() error {
		if err := a.insertNotes(ctx, in); err != nil {
			return clickhouse.Wrap(err, "note %s offsets of %s", in.Kind, in.Workflow)
		}
		return nil
	})
	if err != nil {
		return failIn(ctx, troubleOf(err))
	}
	a.Metrics.noted(in.Topic, in.Kind, in.Ranges.Len())
	return nil
}

func (a *Activities) insertNotes(ctx context.Context, in NoteInput) error {
	b, err := a.Queries.PrepareBatch(ctx, "INSERT INTO ingest_exceptions (kind, _topic, _topic_id, _partition, first, last, batch, reason)")
	if err != nil {
		return err
	}
	for _, r := range in.Ranges {
		if err := b.Append(string(in.Kind), in.Topic, in.TopicID.String(), r.Partition, r.First, r.Last, in.Workflow, in.Reason); err != nil {
			return err
		}
	}
	return b.Send()
}
