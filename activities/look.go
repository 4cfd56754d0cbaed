package activities

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.temporal.io/sdk/activity"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
)

// Seen is the answer of a look.
type Seen struct {
	// Absent is what neither the table nor the dead letters hold, sorted, but
	// for what the job skips. At most maxFragments ranges, the first ones;
	// Complete says whether that is all of it.
	Absent   batch.Ranges `json:"absent,omitempty"`
	Complete bool         `json:"complete"`
	Stored   int64        `json:"stored"` // offsets that the table holds
	Dead     int64        `json:"dead"`   // offsets that the dead letters hold
	Doubled  int64        `json:"doubled,omitempty"`
	Warrant  Warrant      `json:"warrant"`
}

// Warrant is what a look entitles to: writing its absent offsets, for as long
// as nothing else can have written them meanwhile.
type Warrant struct {
	At  time.Time `json:"at"`  // from before the look's questions were asked
	Run string    `json:"run"` // the workflow run that looked
}

// check says why the warrant is not, or no longer, good for this run.
func (w Warrant) check(run string) error {
	switch {
	case run != w.Run:
		return &stopped{Trouble{Class: Expired, Name: "LOOK_OF_ANOTHER_RUN", Message: "the look was made by another run of this workflow"}}
	case time.Since(w.At) > LookValid:
		return &stopped{Trouble{Class: Expired, Name: "LOOK_EXPIRED", Message: "the look is older than " + LookValid.String()}}
	}
	return nil
}

// Look asks ClickHouse which of the job's offsets are in the table or among the
// dead letters already. It only reads. The time it carries is from before the
// questions were asked.
func (a *Activities) Look(ctx context.Context, j Job) (out Seen, err error) {
	ctx, sp := span(ctx, "look", j)
	defer func() {
		sp.SetAttributes(attribute.Int64("ingest.present", out.Stored+out.Dead), attribute.Int64("ingest.absent", out.Absent.Len()))
		end(sp, err)
	}()
	kind, err := a.kind(j.Topic)
	if err != nil {
		return Seen{}, err
	}
	began := time.Now()
	s := Seen{Warrant: Warrant{At: began, Run: activity.GetInfo(ctx).WorkflowExecution.RunID}}
	var stored, dead batch.Ranges
	err = blips(ctx, func() error {
		var err error
		if dead, err = a.lookForLetters(ctx, j); err != nil { // before the table: one that is redriven by now is a row by then
			return err
		}
		stored, s.Doubled, err = a.Looker.Look(ctx, kind.Table(), j.TopicID, j.Ranges)
		return err
	})
	if err != nil {
		return Seen{}, failIn(ctx, troubleOf(err))
	}
	s.Stored, s.Dead = stored.Len(), dead.Sub(stored).Len()
	s.Absent = j.Ranges.Sort().Sub(append(stored, dead...).Sort()).Sub(j.Skip)
	most := maxFragments
	if j.Letters {
		most = lettersMost
	}
	if s.Complete = len(s.Absent) <= most; !s.Complete {
		s.Absent = s.Absent[:most]
	}
	a.Metrics.looked(j.Topic, s, time.Since(began))
	if there := s.Stored + s.Dead; there > 0 {
		activity.GetLogger(ctx).Info("records are there already", "batch", j.Workflow, "topic", j.Topic, "turn", j.Turn, "present", there, "absent", s.Absent.Len())
	}
	return s, nil
}

// lookForLetters is which of the job's offsets have their place among the dead
// letters. Those that were redriven have theirs in the table, or nowhere, if
// somebody has erased the row since. In a redrive none counts.
func (a *Activities) lookForLetters(ctx context.Context, j Job) (batch.Ranges, error) {
	if j.Letters {
		return nil, nil
	}
	dead, _, err := a.Looker.Look(ctx, deadLetters, j.TopicID, j.Ranges)
	if err != nil || len(dead) == 0 {
		return nil, err
	}
	rows, err := a.Looker.Query(bigQuery(ctx), deadLetters, "SELECT _partition, _offset FROM dead_letters WHERE _topic = ? AND _topic_id = ? AND state = 'redriven' AND ("+within(dead)+")",
		j.Topic, j.TopicID.String())
	if err != nil {
		return nil, clickhouse.Wrap(err, "read the states of dead letters")
	}
	defer func() { _ = rows.Close() }()
	var redriven batch.Ranges
	for rows.Next() {
		var r batch.Range
		if err := rows.Scan(&r.Partition, &r.First); err != nil {
			return nil, clickhouse.Wrap(err, "read the states of dead letters")
		}
		r.Last = r.First
		redriven = append(redriven, r)
	}
	if err := rows.Err(); err != nil {
		return nil, clickhouse.Wrap(err, "read the states of dead letters")
	}
	return dead.Sub(redriven.Sort()), nil
}

// within is the condition for the partitions' spans of the ranges.
func within(rs batch.Ranges) string {
	var parts []string
	for n := 0; n < len(rs); {
		span := rs[n]
		for ; n < len(rs) && rs[n].Partition == span.Partition; n++ {
			span.Last = rs[n].Last
		}
		parts = append(parts, fmt.Sprintf("_partition = %d AND _offset BETWEEN %d AND %d", span.Partition, span.First, span.Last))
	}
	return strings.Join(parts, " OR ")
}
