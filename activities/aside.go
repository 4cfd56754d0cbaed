package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
)

// ExceptionTruncated says that an unclean election took these offsets' records, that
// their rows are kept under another topic ID, and that this was done: what is at the
// offsets now are other records.
const ExceptionTruncated Exception = "truncated"

// AsideInput says what is to make way for new records, and for whom.
type AsideInput struct {
	Workflow  string             `json:"workflow"` // ID of the entry's
	Nonce     string             `json:"nonce"`
	Topic     string             `json:"topic"`
	TopicID   batch.TopicID      `json:"topic_id"`
	Truncated []batch.Truncation `json:"truncated"`
	// Until is when the entry began, by the clock of the server: what is in the way
	// was there by then, and new records come later. So a statement that arrives
	// late, of an attempt that nobody waits for any more, touches none of those.
	Until time.Time `json:"until,omitzero"`
}

// Aside is what has to make way, as it is before anything moves.
type Aside struct {
	Truncated []batch.Truncation `json:"truncated,omitempty"` // less what was moved before: nothing may be moved twice
	Until     time.Time          `json:"until"`
}

// PlanAsideTimeout is how long PlanAside may take until it says what holds it up: longer than a replica may take to be ready, and shorter
// than the workflow waits.
const PlanAsideTimeout = 40 * time.Second

// PlanAside asks the server for its time, and which of the truncations were dealt
// with before. It only reads, and waits for no other replica than the one it asks.
func (a *Activities) PlanAside(ctx context.Context, in AsideInput) (out Aside, err error) {
	ctx, cancel := context.WithTimeout(ctx, PlanAsideTimeout)
	defer cancel()
	err = blips(ctx, func() error {
		out = Aside{}
		var ms int64
		if err := a.Queries.QueryRow(ctx, "SELECT toUnixTimestamp64Milli(now64(3))").Scan(&ms); err != nil {
			return clickhouse.Wrap(err, "ask the server for its time")
		}
		out.Until = time.UnixMilli(ms).UTC()
		done, err := a.madeWay(ctx, in)
		out.Truncated = in.left(done)
		return err
	})
	if err != nil {
		return Aside{}, failIn(ctx, troubleOf(err))
	}
	return out, nil
}

// madeWay is what NoteAside wrote down of the topic: each names the topic ID that keeps the rows.
func (a *Activities) madeWay(ctx context.Context, in AsideInput) (reasons []string, err error) {
	rows, err := a.Looker.Query(ctx, "ingest_exceptions", "SELECT reason FROM ingest_exceptions WHERE kind = ? AND _topic = ? AND _topic_id = ?",
		string(ExceptionTruncated), in.Topic, in.TopicID.String())
	if err != nil {
		return nil, clickhouse.Wrap(err, "read the exceptions of %s", in.Topic)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var reason string
		if err := rows.Scan(&reason); err != nil {
			return nil, clickhouse.Wrap(err, "read the exceptions of %s", in.Topic)
		}
		reasons = append(reasons, reason)
	}
	if err := rows.Err(); err != nil {
		return nil, clickhouse.Wrap(err, "read the exceptions of %s", in.Topic)
	}
	return reasons, nil
}

// KeepLetters moves dead letters of lost records under the topic ID that keeps them.
//
// It is safe to run twice, also at once: what is there is not inserted again, a
// repeat goes under the same token, and originals go only when a count has shown
// that each has its copy. A redrive that begins afterwards finds the copies only.
func (a *Activities) KeepLetters(ctx context.Context, in AsideInput) (int64, error) {
	_, stop := beating(ctx, 0)
	defer stop()
	m := mover{a, in}
	err := blips(ctx, func() error {
		if err := a.Looker.Level(ctx, deadLetters); err != nil {
			return err
		}
		return m.letters(ctx)
	})
	var kept int64
	if err == nil {
		kept, err = m.count(ctx, deadLetters, m.kept(in.Truncated))
	}
	if err != nil {
		return 0, failIn(ctx, troubleOf(err))
	}
	return kept, nil
}

// Kept is what was moved.
type Kept struct {
	Rows int64 `json:"rows"` // that are under the IDs which keep them
	Left int64 `json:"left"` // that are still in the way, since they are newer: the server's clock was set back, or a redrive ended late
}

// KeepRows gives the rows of lost records, and notes on their offsets, the topic ID
// that keeps them. Their data stays as it is, and where it is: it is an UPDATE of one
// column that is in no key, atomic in each part with the projections that a look
// reads; no insert, so no view sees the rows a second time and no token is used.
//
// It is safe to run twice, also at once: what has moved is not found again.
func (a *Activities) KeepRows(ctx context.Context, in AsideInput) (out Kept, err error) {
	kind, err := a.kind(in.Topic)
	if err != nil {
		return out, err
	}
	_, stop := beating(ctx, 0)
	defer stop()
	m := mover{a, in}
	if err = a.Looker.Level(ctx, kind.Table(), "ingest_exceptions", deadLetters); err == nil {
		err = m.rows(ctx, kind.Table())
	}
	if err == nil {
		err = m.notes(ctx)
	}
	if err == nil {
		out.Rows, err = m.count(ctx, kind.Table(), m.kept(in.Truncated))
	}
	for _, table := range []string{kind.Table(), deadLetters} {
		var n int64
		if err == nil {
			n, err = m.count(ctx, table, m.lost())
			out.Left += n
		}
	}
	if err != nil {
		return Kept{}, failIn(ctx, troubleOf(err))
	}
	return out, nil
}

// NoteAside writes down that way was made, which is also how a second entry knows.
// It is safe to run twice.
func (a *Activities) NoteAside(ctx context.Context, in AsideInput) error {
	err := blips(ctx, func() error {
		return written(ctx, batch.TokenPrefix(in.Workflow, in.Nonce)+string(ExceptionTruncated),
			func(ctx context.Context) error { return a.insertAside(ctx, in) },
			func() (bool, error) {
				done, err := a.madeWay(ctx, in)
				return len(in.left(done)) == 0, err
			})
	})
	if err != nil {
		return failIn(ctx, troubleOf(err))
	}
	return nil
}

func (a *Activities) insertAside(ctx context.Context, in AsideInput) error {
	b, err := a.Queries.PrepareBatch(ctx, "INSERT INTO ingest_exceptions (kind, _topic, _topic_id, _partition, first, last, batch, reason)")
	for i := 0; err == nil && i < len(in.Truncated); i++ {
		t := in.Truncated[i]
		reason := fmt.Sprintf("lost by an unclean election (epoch %d ended there, found under epoch %d); rows are kept under topic ID %s", t.Epoch, t.Leader, batch.KeptID(in.TopicID, t))
		err = b.Append(string(ExceptionTruncated), in.Topic, in.TopicID.String(), t.Partition, t.End, max(t.End, t.Planned)-1, in.Workflow, reason)
	}
	if err == nil {
		err = b.Send()
	}
	if err != nil {
		return clickhouse.Wrap(err, "note what %s has lost", in.Topic)
	}
	return nil
}

// left is the truncations of which none of the notes tells.
func (in AsideInput) left(reasons []string) (out []batch.Truncation) {
	for _, t := range in.Truncated {
		if !slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(reason, batch.KeptID(in.TopicID, t).String()) }) {
			out = append(out, t)
		}
	}
	return out
}

// AwaitRedrive is over when no redrive of the topic runs: one that took letters
// before they moved stores rows where they were. It tells whether one may have left
// something on its way. That one runs is a failure, for Temporal to try again.
func (a *Activities) AwaitRedrive(ctx context.Context, id string) (late bool, err error) {
	d, err := a.Batches.DescribeWorkflowExecution(ctx, id, "")
	var unknown *serviceerror.NotFound
	if errors.As(err, &unknown) {
		return false, nil
	}
	if err != nil {
		return false, fail(Trouble{Class: Outage, Name: "TEMPORAL_UNREACHABLE", Message: fmt.Sprintf("look at redrive %s: %v", id, err)})
	}
	switch s := d.GetWorkflowExecutionInfo().GetStatus(); s {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return false, nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED:
		return false, fail(Trouble{Class: Outage, Name: "REDRIVE_RUNS", Message: fmt.Sprintf("redrive %s is %s", id, s)})
	default:
		return true, nil
	}
}

// mover speaks of lost records in SQL.
type mover struct {
	a  *Activities
	in AsideInput
}

// lost is the condition for what is in the way.
func (m mover) lost() string {
	var parts []string
	for _, t := range m.in.Truncated {
		parts = append(parts, fmt.Sprintf("(_partition = %d AND _offset >= %d)", t.Partition, t.End))
	}
	return m.ours() + " AND (" + strings.Join(parts, " OR ") + ")"
}

func (m mover) ours() string {
	return "_topic = " + text(m.in.Topic) + " AND _topic_id = '" + m.in.TopicID.String() + "'"
}

// old is what was there when the entry began.
func (m mover) old(column string) string {
	return fmt.Sprintf(" AND %s <= fromUnixTimestamp64Milli(toInt64(%d), 'UTC')", column, m.in.Until.UnixMilli())
}

// kept is the condition for what has moved.
func (m mover) kept(ts []batch.Truncation) string {
	var ids []string
	for _, t := range ts {
		ids = append(ids, "'"+batch.KeptID(m.in.TopicID, t).String()+"'")
	}
	return "_topic_id IN (" + strings.Join(ids, ", ") + ")"
}

// by is an expression with a value for each of the partitions.
func (m mover) by(value func(batch.Truncation) string, other string) string {
	var parts []string
	for _, t := range m.in.Truncated {
		parts = append(parts, fmt.Sprintf("_partition = %d, %s", t.Partition, value(t)))
	}
	return "multiIf(" + strings.Join(parts, ", ") + ", " + other + ")"
}

// keptID is the topic ID that keeps a row.
func (m mover) keptID() string {
	return m.by(func(t batch.Truncation) string { return "toUUID('" + batch.KeptID(m.in.TopicID, t).String() + "')" }, "_topic_id")
}

func (m mover) count(ctx context.Context, table, where string) (int64, error) {
	n, err := m.a.Looker.Count(bigQuery(ctx), table, "SELECT count() FROM "+table+" WHERE "+where)
	if err != nil {
		return 0, clickhouse.Wrap(err, "count what makes way in %s", table)
	}
	return int64(n), nil //nolint:gosec // rows of a table
}

// rows moves the rows of the table, and waits for it. A mutation of an attempt that
// died goes on beside this one: each moves what the other has not.
func (m mover) rows(ctx context.Context, table string) error {
	where := m.lost() + m.old("_inserted_at")
	n, err := m.count(ctx, table, where)
	if err != nil || n == 0 {
		return err
	}
	return m.a.alter(ctx, table, "UPDATE _topic_id = "+m.keptID()+" WHERE "+where)
}

// notes moves what is noted of the lost offsets: it would explain the absence of new
// records at them. What an entry like this one has noted stays.
func (m mover) notes(ctx context.Context) error {
	var parts []string
	for _, t := range m.in.Truncated {
		parts = append(parts, fmt.Sprintf("(_partition = %d AND last >= %d)", t.Partition, t.End))
	}
	where := m.ours() + " AND kind != '" + string(ExceptionTruncated) + "' AND (" + strings.Join(parts, " OR ") + ")" + m.old("at")
	n, err := m.count(ctx, "ingest_exceptions", where)
	if err != nil || n == 0 {
		return err
	}
	end := m.by(func(t batch.Truncation) string { return fmt.Sprintf("toInt64(%d)", t.End) }, "last")
	return m.a.alter(ctx, "ingest_exceptions", "UPDATE _topic_id = if(first >= "+end+", "+m.keptID()+", _topic_id), last = if(first < "+end+", "+end+" - 1, last) WHERE "+where)
}

// letters copies dead letters, since their topic ID is in the table's key, and then
// removes the originals.
func (m mover) letters(ctx context.Context) error {
	where := m.lost() + m.old("_inserted_at")
	kept := "(SELECT _topic_id, _partition, _offset FROM dead_letters WHERE " + m.kept(m.in.Truncated) + ")"
	missing := where + " AND (" + m.keptID() + ", _partition, _offset) NOT IN " + kept
	n, err := m.count(ctx, deadLetters, where)
	if err != nil || n == 0 {
		return err
	}
	for again := range 3 { // a server that was killed may know a token without its rows
		if again > 0 { // whichever replica copies next must see what was copied
			if err := m.a.Looker.Level(ctx, deadLetters); err != nil {
				return err
			}
		}
		n, err := m.count(ctx, deadLetters, missing)
		if err == nil && n == 0 {
			return m.remove(ctx, where)
		}
		var there int64
		if err == nil {
			there, err = m.count(ctx, deadLetters, m.kept(m.in.Truncated))
		}
		if err != nil {
			return err
		}
		token := fmt.Sprintf("%sletters/%d/%d", batch.TokenPrefix(m.in.Workflow, m.in.Nonce), there, again)
		ctx := driver.Context(ctx, driver.WithSettings(driver.Settings{"insert_deduplicate": 1, "insert_deduplication_token": token, "deduplicate_blocks_in_dependent_materialized_views": 1, "async_insert": 0}))
		if err := m.a.Queries.Exec(ctx, "INSERT INTO dead_letters SELECT * REPLACE("+m.keptID()+" AS _topic_id) FROM (SELECT * FROM dead_letters WHERE "+missing+")"); err != nil {
			return clickhouse.Wrap(err, "keep dead letters of %s", m.in.Topic)
		}
	}
	return errors.New("dead letters that were copied aside are not there")
}

// remove is over when no replica has them: a look takes a letter for its record, whichever it asks.
func (m mover) remove(ctx context.Context, where string) error {
	ctx = driver.Context(ctx, driver.WithSettings(driver.Settings{"lightweight_deletes_sync": 2}))
	if err := m.a.Queries.Exec(ctx, "DELETE FROM dead_letters WHERE "+where); err != nil {
		return clickhouse.Wrap(err, "remove dead letters of %s that were copied aside", m.in.Topic)
	}
	return nil
}
