package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/workflows"
)

const resolveHelp = `Decides what becomes of a batch that cannot go on, or of all batches that a query finds.

  retry         try again now: the cause is mended
  dead_letter   route what is at fault to the dead letters; with --all everything of the batch that is not stored
  approve       of a held batch: so many dead letters are right
  accept        of a view at fault: the view may lack the rows, or was filled by hand
  skip          drop what is not stored, for ever; --reason is kept in ingest_exceptions and in the outcome

The batch is its workflow ID, as 'starter batches' prints it. A decision that makes no sense in the batch's state is refused,
with what does. dead_letter and skip take effect after the running activity has ended, a quiet time of 75 seconds and a look:
only records that are absent then are touched.

With --query (a visibility query, as in Temporal's UI), --state, --topic or --error the decision is sent to every batch that is found,
as a signal: those for which it makes no sense pass over it.`

// decideTimeout bounds an update: it answers when the workflow has taken the decision.
const decideTimeout = 30 * time.Second

type resolveFlags struct {
	json, all, dryRun           bool
	reason                      string
	query, state, topic, errorN string
	limit                       int
}

func newResolve() *cobra.Command {
	var f resolveFlags
	cmd := &cobra.Command{
		Use:   "resolve [WORKFLOW-ID] DECISION",
		Short: "Decide what becomes of a batch that cannot go on",
		Long:  resolveHelp,
		Example: "  starter resolve ai-backlog-clickhouse-consumer/ai_backlog_logs/218506308bfc/42 retry\n" +
			"  starter resolve --state held --topic ai_backlog_logs approve\n" +
			"  starter resolve ai-backlog-clickhouse-consumer/ai_backlog_logs/218506308bfc/42 skip --reason 'test records of a bad deploy'",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args, cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.reason, "reason", "", "why; skip needs it")
	flags.BoolVar(&f.all, "all", false, "with dead_letter: all that is not stored, not only what is at fault")
	flags.StringVar(&f.query, "query", "", "visibility query: decide for all open batches that it finds")
	flags.StringVar(&f.state, "state", "", "decide for all open batches in this state: "+strings.Join(troubled, ", "))
	flags.StringVar(&f.topic, "topic", "", "with --state or --error: only batches of this topic")
	flags.StringVar(&f.errorN, "error", "", "decide for all open batches with this error, like UNKNOWN_TABLE")
	flags.IntVar(&f.limit, "limit", 1000, "with a query: at most so many")
	flags.BoolVar(&f.dryRun, "dry-run", false, "with a query: only list the batches")
	flags.BoolVar(&f.json, "json", false, "one JSON object per batch")
	return cmd
}

// troubled are the states in which a batch may wait for a decision.
var troubled = []string{"waiting", "blocked", "held"}

func (f resolveFlags) run(ctx context.Context, args []string, out io.Writer) error {
	d, err := f.decision(args[len(args)-1])
	if err != nil {
		return err
	}
	query, err := f.visibility()
	switch {
	case err != nil:
		return err
	case query == "" && len(args) == 1:
		return errors.New("which batch? give its workflow ID, as `starter batches` prints it, or --state, --error or --query")
	case query != "" && len(args) == 2:
		return errors.New("give a workflow ID or a query, not both")
	}
	ctx, cancel := context.WithTimeout(ctx, decideTimeout)
	defer cancel()
	c, err := dialTemporal(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if query == "" {
		return f.one(ctx, c, args[0], d, out)
	}
	return f.many(ctx, c, query, d, out)
}

func (f resolveFlags) decision(verb string) (workflows.Decision, error) {
	d := workflows.Decision{Verb: workflows.Verb(verb), Reason: strings.TrimSpace(f.reason), All: f.all}
	if !slices.Contains(workflows.Verbs(), d.Verb) {
		var names []string
		for _, v := range workflows.Verbs() {
			names = append(names, string(v))
		}
		return d, fmt.Errorf("%q is no decision: choose one of %s", verb, strings.Join(names, ", "))
	}
	if d.Verb == workflows.Skip && d.Reason == "" {
		return d, errors.New("skip drops records for ever: give --reason, which is kept")
	}
	if d.All && d.Verb != workflows.DeadLetter {
		return d, errors.New("--all belongs to dead_letter")
	}
	if u, err := user.Current(); err == nil {
		d.By = u.Username
	}
	return d, nil
}

// visibility is the query for --query, --state and --error; "" without them.
func (f resolveFlags) visibility() (string, error) {
	var parts []string
	for _, c := range [][3]string{{"--state", "IngestState", f.state}, {"--topic", "IngestTopic", f.topic}, {"--error", "IngestError", f.errorN}} {
		if strings.ContainsAny(c[2], `'"\`) {
			return "", fmt.Errorf("%s is %q: give a plain name", c[0], c[2])
		}
		if c[2] != "" {
			parts = append(parts, c[1]+" = '"+c[2]+"'")
		}
	}
	switch {
	case f.state != "" && !slices.Contains(troubled, f.state):
		return "", fmt.Errorf("--state %q is none of %s", f.state, strings.Join(troubled, ", "))
	case f.topic != "" && f.state == "" && f.errorN == "" && f.query == "":
		return "", errors.New("--topic alone would be every batch of it: add --state or --error")
	case f.limit < 1:
		return "", errors.New("--limit must be at least 1")
	}
	if f.query != "" {
		parts = append(parts, "("+f.query+")")
	}
	if len(parts) == 0 {
		return "", nil
	}
	return "WorkflowType IN ('Ingest', 'MakeWay') AND ExecutionStatus = 'Running' AND " + strings.Join(parts, " AND "), nil
}

// resolved is what became of a decision.
type resolved struct {
	Workflow string `json:"workflow_id"`
	Answer   string `json:"answer"`
}

func (f resolveFlags) print(out io.Writer, r resolved) error {
	if f.json {
		return json.NewEncoder(out).Encode(r)
	}
	_, err := fmt.Fprintf(out, "%s: %s\n", r.Workflow, r.Answer)
	return err
}

// one decides by an update, which answers.
func (f resolveFlags) one(ctx context.Context, c temporal, id string, d workflows.Decision, out io.Writer) error {
	h, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: id, UpdateName: workflows.ResolveName, Args: []any{d}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	var answer string
	if err == nil {
		err = h.Get(ctx, &answer)
	}
	var none *serviceerror.NotFound
	switch {
	case errors.As(err, &none):
		return fmt.Errorf("no open batch %s at %s: `starter batches` lists them", id, c)
	case ctx.Err() != nil:
		return fmt.Errorf("no answer within %s: is a worker running? The decision is taken when one is", decideTimeout)
	case err != nil:
		return fmt.Errorf("%s: %w", id, err)
	}
	return f.print(out, resolved{id, answer})
}

// many decides by signals.
func (f resolveFlags) many(ctx context.Context, c temporal, query string, d workflows.Decision, out io.Writer) error {
	rows, err := list(ctx, c, []string{query}, f.limit)
	if err != nil {
		return fmt.Errorf("list batches at %s: %w", c, err)
	}
	if len(rows) == 0 && !f.json {
		_, err := fmt.Fprintln(out, "no batches")
		return err
	}
	for _, r := range rows {
		answer := "would be told: " + d.String()
		if !f.dryRun {
			answer = "told: " + d.String()
			if err := c.SignalWorkflow(ctx, r.Workflow, "", workflows.ResolveName, d); err != nil {
				answer = "not told: " + err.Error() // it ended meanwhile, mostly
			}
		}
		if err := f.print(out, resolved{r.Workflow, answer}); err != nil {
			return err
		}
	}
	return nil
}
