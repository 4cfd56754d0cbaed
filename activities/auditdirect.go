package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/record"
)

const (
	// maxTwice is how many event IDs are listed, of those with more than one direct row.
	maxTwice = 20
	// oddTries is how often a search is tried whose error is one that nobody knows: it may pass, or never.
	oddTries = 5
)

// ResolveDirectInput names a topic whose direct rows are searched.
type ResolveDirectInput struct {
	Topic string `json:"topic"`
}

// Direct is what was found among the rows that came straight from clients.
type Direct struct {
	Rows  int64 `json:"rows"`  // at the search, and so with those that it removed
	Doubt int64 `json:"doubt"` // of these: Kafka may bring the record yet
	// Removed is how many were copies of what Kafka had brought. Two audits at
	// once may both count a row; one that a worker removed just before it died
	// is counted nowhere.
	Removed int64 `json:"removed"`
	// Kept is how many copies stay because the right to remove them is missing.
	Kept int64 `json:"kept,omitempty"`
	// Twice is how many events have more than one direct row, and none of
	// Kafka's: it is a fault, and not mended, since nothing says which to keep.
	Twice       int64       `json:"twice"`
	TwiceEvents []uuid.UUID `json:"twice_events,omitempty"` // at most maxTwice
	// Untold is why not all is told, with what mends it.
	Untold string `json:"untold,omitempty"`
}

// directProgress travels in heartbeats: the next attempt goes on from that minute.
type directProgress struct {
	Next  int64  `json:"next"`
	Found Direct `json:"found"`
}

// ResolveDirect searches the direct rows of the topic for those that Kafka has
// brought too, and removes them: never a row of Kafka's, and never a direct row
// that is the only one of its event. It takes the grant ALTER DELETE, and only
// where there is something to remove.
//
// It is safe to run twice, and twice at once, because it removes what it has
// found at most, by event and time, and what is gone is not found again. An
// attempt goes on from the minute that a heartbeat told of; a minute is searched
// again in full. See clickhouse.Doubles for what a double is, and what it costs.
func (a *Activities) ResolveDirect(ctx context.Context, in ResolveDirectInput) (Direct, error) {
	kind, err := a.kind(in.Topic)
	if err != nil {
		return Direct{}, err
	}
	var p directProgress
	if activity.HasHeartbeatDetails(ctx) {
		var last directProgress
		if err := activity.GetHeartbeatDetails(ctx, &last); err == nil {
			p = last
		}
	}
	tell, stop := beating(ctx, p)
	defer stop()
	r := &resolver{
		doubles: clickhouse.NewDoubles(a.Queries, clickhouse.Direct{Table: kind.Table(), Topic: in.Topic, Partition: record.DirectPartition, Doubt: record.DirectDoubt}),
		table:   kind.Table(),
		found:   p.Found,
	}
	var stretches []clickhouse.Stretch
	err = blips(ctx, func() (err error) { stretches, err = r.doubles.Stretches(ctx, p.Next); return err })
	for i := 0; i < len(stretches) && err == nil; i++ {
		if err = r.resolve(ctx, stretches[i]); err == nil {
			tell(directProgress{Next: stretches[i].To, Found: r.found})
		}
	}
	if err != nil {
		return Direct{}, failIn(ctx, directTrouble(err, activity.GetInfo(ctx).Attempt))
	}
	return r.found, nil
}

// directTrouble is auditTrouble for statements that not every table takes: an audit does not wait for ever for what nobody knows.
func directTrouble(err error, attempt int32) Trouble {
	t := auditTrouble(err)
	if t.Class == Outage && t.Code != 0 && !clickhouse.Known(int32(t.Code)) && attempt >= oddTries { //nolint:gosec // the wire carries 32 bits
		t.Class = Blocked
	}
	return t
}

// resolver walks over a topic's direct rows.
type resolver struct {
	doubles *clickhouse.Doubles
	table   string
	denied  string // the server's words
	found   Direct
}

func (r *resolver) resolve(ctx context.Context, s clickhouse.Stretch) error {
	for part := range s.Parts {
		if err := r.part(ctx, s, part); err != nil {
			return err
		}
	}
	r.found.Rows += s.Rows
	r.found.Doubt += s.Doubt
	return nil
}

// part asks until all copies of the part are listed, or none may be removed.
func (r *resolver) part(ctx context.Context, s clickhouse.Stretch, part int) error {
	for first := (clickhouse.Copy{}); ; {
		var f clickhouse.Found
		if err := blips(ctx, func() (err error) { f, err = r.doubles.Find(ctx, s, part); return err }); err != nil {
			return err
		}
		if len(f.Listed) > 0 {
			if f.Listed[0] == first { // another server answers than the one that removed it, or a setting shows what is removed
				return &stopped{Trouble{Class: Blocked, Name: "ROWS_STAY", Message: fmt.Sprintf("direct rows of event %s were removed from %s and are still there", first.Event, r.table)}}
			}
			first = f.Listed[0]
		}
		removed, err := r.remove(ctx, f)
		if err != nil {
			return err
		}
		if removed == f.Copies || r.denied != "" {
			r.twice(f)
			return nil
		}
	}
}

// remove answers how many direct rows it removed. From the first refusal on there is only counted.
func (r *resolver) remove(ctx context.Context, f clickhouse.Found) (n int64, err error) {
	if r.denied == "" {
		err = blips(ctx, func() error { return r.doubles.Remove(ctx, f.Listed) })
		var failure *clickhouse.Failure
		if errors.As(err, &failure) && failure.Name == "ACCESS_DENIED" {
			r.denied, err = failure.Error(), nil
		}
		if err != nil {
			return 0, err
		}
	}
	if r.denied != "" {
		r.found.Kept += f.Copies
		r.found.Untold = short(fmt.Sprintf("ACCESS_DENIED: %d direct rows in %s are copies of what Kafka brought, and stay: GRANT ALTER DELETE ON %s to the worker's CLICKHOUSE_USER, and audit again (%s)",
			r.found.Kept, r.table, r.table, r.denied))
		return 0, nil
	}
	for _, c := range f.Listed {
		n += c.Rows
	}
	r.found.Removed += n
	return n, nil
}

func (r *resolver) twice(f clickhouse.Found) {
	r.found.Twice += f.Twice
	r.found.TwiceEvents = append(r.found.TwiceEvents, f.Events[:min(len(f.Events), maxTwice-len(r.found.TwiceEvents))]...)
}
