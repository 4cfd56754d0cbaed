package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/ai-backlog/ingest/batch"
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
// after its retention and audit must know. It is safe to run twice.
func (a *Activities) Note(ctx context.Context, in NoteInput) error {
	err := blips(ctx, func() error {
		return written(ctx, in.token(in.Ranges)+"/"+string(in.Kind),
			func(ctx context.Context) error { return a.insertNotes(ctx, in) },
			func() (bool, error) { return a.hasNotes(ctx, in) })
	})
	if err != nil {
		return failIn(ctx, troubleOf(err))
	}
	a.Metrics.noted(in.Topic, in.Kind, in.Ranges.Len())
	return nil
}

// written writes under a token, and looks whether it is there: a server that was killed may know the token without the rows, and
// one of a cluster may drop what was in doubt when another died. A batch's rows the next look finds absent; for a note there is none.
func written(ctx context.Context, token string, write func(context.Context) error, there func() (bool, error)) error {
	for again := range 3 {
		key := token
		if again > 0 {
			key = fmt.Sprintf("%s/again/%d", token, again)
		}
		err := write(driver.Context(ctx, driver.WithSettings(driver.Settings{
			"insert_deduplication_token": key, "deduplicate_blocks_in_dependent_materialized_views": 1, "async_insert": 0,
		})))
		if err != nil {
			return err
		}
		if ok, err := there(); ok || err != nil {
			return err
		}
	}
	return errors.New("a note that was acknowledged is not there")
}

func (a *Activities) insertNotes(ctx context.Context, in NoteInput) error {
	b, err := a.Queries.PrepareBatch(ctx, "INSERT INTO ingest_exceptions (kind, _topic, _topic_id, _partition, first, last, batch, reason)")
	for i := 0; err == nil && i < len(in.Ranges); i++ {
		r := in.Ranges[i]
		err = b.Append(string(in.Kind), in.Topic, in.TopicID.String(), r.Partition, r.First, r.Last, in.Workflow, in.Reason)
	}
	if err == nil {
		err = b.Send()
	}
	if err != nil {
		return clickhouse.Wrap(err, "note %s offsets of %s", in.Kind, in.Workflow)
	}
	return nil
}

// hasNotes tells whether the batch's notes are there, by where they begin: one that has moved aside since has another topic ID, or ends
// earlier, and may not come back.
func (a *Activities) hasNotes(ctx context.Context, in NoteInput) (bool, error) {
	rows, err := a.Looker.Query(ctx, "ingest_exceptions", "SELECT _partition, first FROM ingest_exceptions WHERE kind = ? AND _topic = ? AND batch = ?", string(in.Kind), in.Topic, in.Workflow)
	if err != nil {
		return false, clickhouse.Wrap(err, "read the exceptions of %s", in.Workflow)
	}
	defer func() { _ = rows.Close() }()
	begin := map[place]bool{}
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.partition, &p.offset); err != nil {
			return false, clickhouse.Wrap(err, "read the exceptions of %s", in.Workflow)
		}
		begin[p] = true
	}
	if err := rows.Err(); err != nil {
		return false, clickhouse.Wrap(err, "read the exceptions of %s", in.Workflow)
	}
	return !slices.ContainsFunc(in.Ranges, func(r batch.Range) bool { return !begin[place{r.Partition, r.First}] }), nil
}
