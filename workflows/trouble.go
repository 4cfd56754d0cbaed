package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// state is the value of the search attribute IngestState. The good path has
// none.
type state string

const (
	waiting state = "waiting" // for something outside to come back
	blocked state = "blocked" // for an operator; goes on by itself once mended
	stored  state = "stored"  // ended, after trouble
	// held and isolating belong to the flood guard and to records that only
	// the server can refuse.
)

// persist goes on trying after err until it is nil or a trouble that trying
// cannot cure, which it returns. An outage is waited out in rounds, without
// limit; what an operator must mend is tried every minute, and so is a block
// that the server rejects, since nothing isolates its rows yet.
func (i *ingest) persist(ctx workflow.Context, err error, try func(workflow.Context, pace) error) (*activities.Trouble, error) {
	for err != nil {
		if temporal.IsCanceledError(err) {
			return nil, err
		}
		t := activities.TroubleOf(err)
		i.out.Retries++
		switch t.Class {
		case activities.Outage:
			if err := i.tell(ctx, waiting, t); err != nil {
				return nil, err
			}
			err = try(ctx, round)
		case activities.Blocked, activities.Rejected:
			if err := i.block(ctx, t); err != nil {
				return nil, err
			}
			err = try(ctx, single)
		case activities.Lost, activities.Expired, activities.Disagree:
			return &t, nil
		default: // of a newer worker: what it means is not known here
			if err := i.block(ctx, t); err != nil {
				return nil, err
			}
			err = try(ctx, single)
		}
	}
	return nil, nil
}

// block says what is wrong and waits a minute.
func (i *ingest) block(ctx workflow.Context, t activities.Trouble) error {
	if err := i.tell(ctx, blocked, t); err != nil {
		return err
	}
	return workflow.Sleep(ctx, blockedEvery)
}

// tell makes the batch's trouble readable without opening its history.
func (i *ingest) tell(ctx workflow.Context, s state, t activities.Trouble) error {
	workflow.SetCurrentDetails(ctx, details(ctx, i.in, s, t))
	workflow.GetLogger(ctx).Warn("batch cannot go on", "batch", i.in.ID(), "state", string(s), "error", t.Name, "message", t.Message)
	if i.state == s {
		return nil
	}
	i.state = s
	return workflow.UpsertTypedSearchAttributes(ctx, AttributeState.ValueSet(string(s)), AttributeError.ValueSet(t.Name))
}

// tellEnd says how a batch ended that had trouble or dead letters.
func (i *ingest) tellEnd(ctx workflow.Context) error {
	var u []temporal.SearchAttributeUpdate
	if i.state != "" {
		u = append(u, AttributeState.ValueSet(string(stored)))
	}
	if i.out.DeadLettered > 0 {
		u = append(u, AttributeDeadLetters.ValueSet(i.out.DeadLettered))
	}
	if len(u) == 0 {
		return nil
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("stored %d, present before %d, dead-lettered %d, lost %d, holes %d; %d turns, %d retries",
		i.out.Stored, i.out.Present, i.out.DeadLettered, i.out.Lost, i.out.Holes, i.out.Turns, i.out.Retries))
	return workflow.UpsertTypedSearchAttributes(ctx, u...)
}

func details(ctx workflow.Context, in batch.Batch, s state, t activities.Trouble) string {
	next := "It goes on by itself as soon as the cause is gone."
	if s == blocked {
		next = "It tries again every minute and goes on by itself once the cause is mended."
	}
	return fmt.Sprintf("**%s** since %s\n\n| | |\n|---|---|\n| batch | %s |\n| error | %s %d |\n| message | %s |\n\n%s",
		s, workflow.Now(ctx).UTC().Format("2006-01-02 15:04:05 MST"), in.Summary(), t.Name, t.Code, strings.ReplaceAll(t.Message, "|", "\\|"), next)
}

// head is the first few ranges, for people.
func head(rs batch.Ranges) string {
	var parts []string
	for n, r := range rs {
		if n == 10 {
			parts = append(parts, fmt.Sprintf("and %d more ranges", len(rs)-n))
			break
		}
		parts = append(parts, r.String())
	}
	return strings.Join(parts, ", ")
}
