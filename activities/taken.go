package activities

import (
	"context"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
)

// Taken is what became of a block whose insert the server answered with an error.
type Taken struct {
	Stored  int64   `json:"stored"` // its offsets that the table holds: it took the block
	Warrant Warrant `json:"warrant"`
	// Views are the materialized views of the table, set with Stored: one of them
	// threw. At most a few.
	Views []string `json:"views,omitempty"`
	// Fill is the statement that fills the first view, set when it is short.
	Fill string `json:"fill,omitempty"`
}

const (
	maxViews = 10
	maxFill  = 2000 // bytes, of the history
)

// Taken looks whether the table took a block, the job's ranges, before the server
// answered the insert with an error: a materialized view throws after it. It only
// reads.
func (a *Activities) Taken(ctx context.Context, j Job) (Taken, error) {
	seen, err := a.Look(ctx, j)
	if err != nil || seen.Stored == 0 {
		return Taken{Warrant: seen.Warrant}, err
	}
	t := Taken{Stored: seen.Stored, Warrant: seen.Warrant}
	kind, err := a.kind(j.Topic)
	if err != nil {
		return t, err
	}
	var views []clickhouse.View
	var database string
	err = blips(ctx, func() error {
		if err := a.Queries.QueryRow(ctx, "SELECT currentDatabase()").Scan(&database); err != nil {
			return clickhouse.Wrap(err, "ask for the database")
		}
		var err error
		views, err = clickhouse.Views(ctx, a.Queries, kind.Table())
		return err
	})
	if err != nil {
		return t, failIn(ctx, troubleOf(err))
	}
	if len(views) > 0 {
		a.Metrics.viewThrew(j.Topic)
	}
	for _, v := range views[:min(len(views), maxViews)] {
		t.Views = append(t.Views, v.String())
	}
	if len(views) > 0 {
		t.Fill = fill(views[0], database, kind.Table(), j.TopicID, j.Ranges)
	}
	return t, nil
}

func fill(v clickhouse.View, database, table string, id batch.TopicID, ranges batch.Ranges) string {
	if s := v.Fill(database, table, id, ranges); len(s) <= maxFill {
		return s
	}
	return ""
}
