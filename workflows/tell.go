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
	held    state = "held"    // for the word that so many dead letters are right
	stored  state = "stored"  // ended, after trouble

	isolating state = "isolating" // searching for the rows that the server refuses
)

// tell makes the batch's trouble readable without opening its history.
func (i *ingest) tell(ctx workflow.Context, s state, t activities.Trouble) error {
	if i.state != s || i.since.IsZero() {
		i.since = workflow.Now(ctx)
	}
	changed := i.state != s || i.trouble.Name != t.Name
	i.state, i.trouble, i.stuck = s, t, s != isolating
	workflow.SetCurrentDetails(ctx, i.details(workflow.GetInfo(ctx).WorkflowExecution.ID))
	log := workflow.GetLogger(ctx).Warn
	if s == isolating {
		log = workflow.GetLogger(ctx).Info
	}
	log("batch cannot go on as it is", "batch", i.job(nil).Workflow, "state", string(s), "error", t.Name, "message", t.Message)
	if !changed {
		return nil
	}
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

// details is a short table, what happens next, and the commands that an operator
// may run now.
func (i *ingest) details(id string) string {
	t := i.trouble
	cell := func(s string) string { return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s) }
	name := t.Name
	if t.Code != 0 {
		name = fmt.Sprintf("%s (%d)", t.Name, t.Code)
	}
	out := fmt.Sprintf("**%s** since %s\n\n| | |\n|---|---|\n| batch | %s |\n| error | %s |\n| message | %s |\n\n%s",
		i.state, i.since.UTC().Format("2006-01-02 15:04:05 MST"), i.summary(), name, cell(t.Message), i.next())
	if can := i.options(); len(can) > 0 {
		out += " You may decide: " + strings.Join(words(can), ", ") + "." // the UI cuts the ends of long commands
		out += "\n\n```\n"
		for _, v := range can {
			out += "starter resolve " + id + " " + string(v)
			if v == Skip {
				out += " --reason '…'"
			}
			out += "\n"
		}
		out += "```"
	}
	return out
}

func (i *ingest) summary() string {
	if i.letters != "" {
		return fmt.Sprintf("redrive of %d dead letters of %s", i.in.Ranges.Len(), i.in.Topic)
	}
	return i.in.Summary()
}

// next is what happens by itself.
func (i *ingest) next() string {
	switch {
	case i.view != nil && i.view.expired:
		return "It waits for `accept`: the table has its rows, the view does not."
	case i.view != nil && i.state == blocked:
		return "It sends the block again every minute: the table drops the repeat, the mended view gets its rows."
	case i.state == blocked:
		return "It tries again every minute and goes on by itself once the cause is mended."
	case i.state == held:
		return "It waits for a decision. Approve it if the records are bad; mend the decoder, the worker or the table, and retry, if they are not."
	case i.state == isolating:
		return "It searches for the rows that ClickHouse refuses, stores the others and routes exactly those to the dead letters."
	}
	return "It goes on by itself as soon as the cause is gone."
}

// list is names for people.
func list(names []string) string {
	if len(names) == 0 {
		return "none is there any more"
	}
	return strings.Join(names, ", ")
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
