package activities

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Exception is why offsets will never be rows.
type Exception string

// The kinds of exception.
const (
	ExceptionLost   Exception = "lost"   // Kafka deleted it before it was read
	ExceptionOpened Exception = "opened" // before the group's starting position: never ours
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
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"insert_deduplication_token": in.token(in.Ranges) + "/" + string(in.Kind), "deduplicate_blocks_in_dependent_materialized_views": 1, "async_insert": 0,
	}))
	err := blips(ctx, func() error {
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
	})
	if err != nil {
		return failIn(ctx, troubleOf(fmt.Errorf("note %s offsets of %s: %w", in.Kind, in.Workflow, err)))
	}
	if in.Kind == ExceptionLost {
		a.Metrics.lost(in.Topic, in.Ranges.Len())
	}
	return nil
}
