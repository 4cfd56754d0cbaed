package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/workflows"
)

const redriveHelp = `Decodes dead letters again with today's code, stores those that can be stored now under their own coordinates in Kafka, and marks them as
redriven. What is refused again stays dead, with today's reason. Nothing goes through Kafka: other readers of the topic see nothing twice.

It is exact, whatever dies meanwhile and however often it is run. One redrive of a topic runs at a time; a second one is refused, and
says how to wait for the first.

The redrive is a workflow. Ctrl-C only ends the waiting; --attach waits again. To end the redrive itself, terminate it in Temporal's UI: what
it has stored is marked by the next one.`

type redriveFlags struct {
	topic, reason, since, until, attach string
	limit, rate                         int64
	json, dryRun, wait                  bool
}

func newRedrive() *cobra.Command {
	var f redriveFlags
	cmd := &cobra.Command{
		Use:   "redrive --topic TOPIC",
		Short: "Store dead letters after a fix, under their own coordinates",
		Long:  redriveHelp,
		Example: "  starter redrive --topic ai_backlog_logs --dry-run\n" +
			"  starter redrive --topic ai_backlog_logs --reason VIOLATED_CONSTRAINT --since 24h",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.topic, "topic", "", "topic whose dead letters are redriven")
	flags.StringVar(&f.reason, "reason", "", "only those with this reason; starter deadletters count lists them")
	flags.StringVar(&f.since, "since", "", "only those dead-lettered since then: a time, or how long ago (24h)")
	flags.StringVar(&f.until, "until", "", "only those dead-lettered before then")
	flags.Int64Var(&f.limit, "limit", 0, "at most so many")
	flags.Int64Var(&f.rate, "rate", 0, "at most so many a second")
	flags.BoolVar(&f.dryRun, "dry-run", false, "store nothing: say how many there are, and how many of them could be decoded now")
	flags.BoolVar(&f.wait, "wait", true, "wait for the end")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	flags.StringVar(&f.attach, "attach", "", "wait for the redrive with this workflow ID, which was started before")
	return cmd
}

func (f redriveFlags) run(ctx context.Context, out, log io.Writer) error {
	if f.attach != "" {
		if f.topic != "" || f.reason != "" || f.since != "" || f.until != "" || f.limit != 0 || f.rate != 0 || f.dryRun {
			return errors.New("--attach waits for a redrive that was started before: give nothing else with it but --json")
		}
		c, err := dialTemporal(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return f.await(ctx, c, f.attach, out, log)
	}
	letters, err := f.letters(time.Now())
	if err != nil {
		return err
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	kind, ok := cfg.Topics.Kinds()[f.topic]
	if !ok {
		return fmt.Errorf("topic %q is none of those that are ingested: %s (TOPIC_LOGS, TOPIC_METRICS, TOPIC_EVENTS)", f.topic, strings.Join(cfg.Topics.Names(), ", "))
	}
	if f.dryRun {
		return f.rehearse(ctx, letters, kind, out)
	}
	c, err := dialTemporal(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	id, again, err := f.start(ctx, c, cfg.Kafka.GroupID, letters)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(log, "redrive %s\n", id)
	if again {
		_, _ = fmt.Fprintf(log, "it waits %s first: no redrive of the topic is known to have ended by itself, so one may have sent something\n", activities.Quiet)
	}
	switch {
	case f.wait:
		return f.await(ctx, c, id, out, log)
	case f.json:
		return json.NewEncoder(out).Encode(map[string]any{"workflow_id": id})
	}
	_, err = fmt.Fprintln(out, "it goes on by itself; to wait for it: starter redrive --attach "+id)
	return err
}

func (f redriveFlags) letters(now time.Time) (l activities.Letters, err error) {
	l = activities.Letters{Topic: f.topic, Reason: f.reason}
	var errs [3]error
	if f.since != "" {
		l.Since, errs[0] = moment("--since", f.since, now)
	}
	if f.until != "" {
		l.Until, errs[1] = moment("--until", f.until, now)
	}
	switch {
	case f.topic == "":
		errs[2] = errors.New("say which topic: --topic")
	case f.limit < 0 || f.rate < 0:
		errs[2] = errors.New("--limit and --rate must not be negative")
	}
	return l, errors.Join(errs[:]...)
}

// start starts the topic's one redrive. Unless the last one is known to have ended
// by itself, what it sent may still be on its way.
func (f redriveFlags) start(ctx context.Context, c temporal, group string, l activities.Letters) (id string, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	id = batch.RedriveID(group, l.Topic)
	d, err := c.DescribeWorkflowExecution(ctx, id, "")
	var none *serviceerror.NotFound
	if err != nil && !errors.As(err, &none) {
		return "", false, fmt.Errorf("look at redrive %s at %s: %w", id, c, err)
	}
	last := d.GetWorkflowExecutionInfo().GetStatus()
	in := workflows.RedriveInput{
		Group: group, Letters: l, Limit: f.limit, Rate: f.rate, Nonce: uuid.NewString()[:8],
		Again: last != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, // also if Temporal knows of none: it may have been deleted
	}
	_, err = c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.OperationsQueue, WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:         "redrive of " + l.Topic + cmp.Or(" "+l.Reason, ""),
		TypedSearchAttributes: sdk.NewSearchAttributes(workflows.AttributeTopic.ValueSet(l.Topic)),
	}, workflows.Redrive, in)
	if sdk.IsWorkflowExecutionAlreadyStartedError(err) {
		return "", false, fmt.Errorf("a redrive of %s is running; to wait for it: starter redrive --attach %s", l.Topic, id)
	}
	if err != nil {
		return "", false, fmt.Errorf("start redrive %s at %s: %w", id, c, err)
	}
	return id, in.Again, nil
}

func (f redriveFlags) await(ctx context.Context, c temporal, id string, out, log io.Writer) error {
	var res workflows.RedriveResult
	told := ""
	err := (&following{
		c: c, id: id, what: "redrive", kind: "Redrive", log: log, hint: "it needs a worker",
		ask: func(ctx context.Context) (p progress, err error) {
			var r workflows.RedriveResult
			v, err := c.QueryWorkflow(ctx, id, "", workflows.QueryProgress)
			if err == nil {
				err = v.Get(&r)
			}
			if r.Trouble != told && r.Trouble != "" {
				_, _ = fmt.Fprintf(log, "redrive %s; the workflow's current details say what is wrong and what may be done\n", r.Trouble)
			}
			told = r.Trouble
			return progress{done: r.Picked, doing: fmt.Sprintf("%d taken, %d stored, %d stay dead", r.Picked, r.Stored, r.Refused), begun: err == nil}, err
		},
	}).wait(ctx, &res)
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(out).Encode(struct {
			Workflow string `json:"workflow_id"`
			workflows.RedriveResult
		}{id, res})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "dead letters\t%d\nstored\t%d\nwere there\t%d\nstay dead\t%d\n", res.Picked, res.Stored, res.Present, res.Refused) // Flush tells of a failure
	return w.Flush()
}
