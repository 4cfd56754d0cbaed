package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/workflows"
)

const auditHelp = `Compares every offset that Kafka has, below the group's committed offsets, with ClickHouse's rows and the dead letters, and names gaps (records
that are nowhere), offsets that are stored more than once, and records that are both stored and dead. What it finds it looks at a
second time half a minute later: a redrive may have been under way.

It tells from gaps what is none: holes without a record (transactions, compaction), what was noted as lost, skipped or before the
starting position, and rows that the table's TTL has dropped.

Whatever the offsets, it also searches the rows of the topic that came straight from clients while Kafka was away. Where Kafka has
brought the same record since (equal event_id and timestamp), the direct row is removed, never Kafka's; that is all that an audit changes. A
record that has several direct rows, and none of Kafka's, is named.

` + pickHelp + `

The exit code is 0 if all is clean, 1 if it is not, 2 if something could not be compared (and nothing else is wrong), 130 if you left.
The audit is a workflow. Ctrl-C only ends the waiting; --attach waits again.`

// The exit codes of audit, beside 0 and interrupted.
const (
	notClean     = 1
	couldNotTell = 2
)

// auditFlags are the flags of audit.
type auditFlags struct {
	pick
	topic, attach string
	repair, json  bool
}

func newAudit() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit --topic TOPIC [--all | --from X --to Y | PARTITION:FIRST-LAST…]",
		Short: "Compare Kafka's offsets with ClickHouse's rows, and name every gap and duplicate",
		Long:  auditHelp,
		Example: "  starter audit --topic ai_backlog_logs\n" +
			"  starter audit --topic ai_backlog_logs --from 2026-01-02T03:00:00Z --to 2026-01-02T04:00:00Z --json\n" +
			"  starter audit --topic ai_backlog_logs --repair\n" +
			"  starter audit schedule --topic ai_backlog_logs --every 1h",
		Args: cobra.ArbitraryArgs, // ranges
		RunE: func(cmd *cobra.Command, ranges []string) error {
			f.ranges = ranges
			return untold(f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.topic, "topic", "", "topic whose records are compared")
	flags.BoolVar(&f.all, "all", false, "everything that Kafka has (the default)")
	flags.StringVar(&f.from, "from", "", "from this offset, or time, on")
	flags.StringVar(&f.to, "to", "", "up to this offset, or before this time")
	flags.BoolVar(&f.repair, "repair", false, "replay the gaps, and audit again")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	flags.StringVar(&f.attach, "attach", "", "wait for the audit with this workflow ID, which was started before")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return untold(err) })
	cmd.AddCommand(newAuditSchedule())
	return cmd
}

// untold gives an error the exit code that says that nothing was found out, unless it has one of its own.
func untold(err error) error {
	var e *exitError
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &exitError{couldNotTell, err}
}

// interrupt is the error if it is that somebody left, else nil.
func interrupt(err error) error {
	if exitCode(err) == interrupted {
		return err
	}
	return nil
}

func (f auditFlags) run(ctx context.Context, out, log io.Writer) error {
	if f.attach != "" {
		if f.topic != "" || f.all || f.from != "" || f.to != "" || f.repair || len(f.ranges) > 0 {
			return errors.New("--attach waits for an audit that was started before: give nothing else with it but --json")
		}
		c, err := dialTemporal(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		o, err := await(ctx, c, f.attach, log)
		if err != nil {
			return err
		}
		return f.print(out, report{Workflow: f.attach, AuditOutcome: o})
	}
	scope, id, err := f.scope(ctx)
	if err != nil {
		return err
	}
	c, err := dialTemporal(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := audit(ctx, c, scope, id, log)
	if err != nil {
		return err
	}
	if f.repair {
		r, err = repair(ctx, c, scope, id, r, log)
	}
	found := f.print(out, r)
	if err != nil { // what was found is not mended
		return cmp.Or(interrupt(err), error(&exitError{notClean, fmt.Errorf("not clean, and the repair did not come to its end: %w", err)}))
	}
	return found
}

// scope asks Kafka which offsets are meant, and for the topic's ID.
func (f auditFlags) scope(ctx context.Context) (s activities.AuditScope, id batch.TopicID, err error) {
	f.all = f.all || f.from == "" && f.to == "" && len(f.ranges) == 0
	if err := f.check(); err != nil {
		return s, id, err
	}
	cfg, err := load()
	if err == nil {
		err = ingested(cfg, f.topic)
	}
	if err != nil {
		return s, id, err
	}
	cl, err := openKafka(ctx, cfg.Kafka)
	if err != nil {
		return s, id, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	id, logs, err := kafka.Logs(ctx, cl, f.topic)
	if err != nil {
		return s, id, kafka.Hint(err)
	}
	s = activities.AuditScope{Group: cfg.Kafka.GroupID, Topic: f.topic, TopicID: id}
	if f.all {
		return s, id, nil // the audit asks itself, when it begins
	}
	if s.Ranges, err = f.meant(ctx, cl, f.topic, logs); err != nil {
		return s, id, kafka.Hint(err)
	}
	switch n := len(s.Ranges); {
	case n == 0:
		return s, id, errors.New("there is no such offset in Kafka: nothing to compare")
	case n > workflows.MaxReplayRanges:
		return s, id, fmt.Errorf("%d ranges are more than the %d of one audit: ask for longer ones", n, workflows.MaxReplayRanges)
	}
	return s, id, nil
}

// ingested is nil for a topic whose records the programs of this configuration bring to ClickHouse.
func ingested(cfg Config, topic string) error {
	switch names := cfg.Topics.Names(); {
	case topic == "":
		return errors.New("say which topic: --topic")
	case !slices.Contains(names, topic):
		return fmt.Errorf("topic %s is none of those that are ingested: %s (TOPIC_LOGS, TOPIC_METRICS, TOPIC_EVENTS)", topic, strings.Join(names, ", "))
	}
	return nil
}

// audit starts an audit under an ID of its own and waits for it.
func audit(ctx context.Context, c temporal, s activities.AuditScope, topic batch.TopicID, log io.Writer) (r report, err error) {
	name, err := uuid.NewV7()
	if err != nil {
		return r, err
	}
	r.Workflow = workflows.AuditID(s.Group, s.Topic, topic, name.String())
	starting, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	_, err = c.ExecuteWorkflow(starting, client.StartWorkflowOptions{
		ID: r.Workflow, TaskQueue: workflows.OperationsQueue, WorkflowExecutionErrorWhenAlreadyStarted: true, StaticSummary: s.Topic + ": audit",
	}, workflows.Audit, workflows.AuditInput{AuditScope: s})
	if err != nil {
		return r, fmt.Errorf("start audit %s at %s: %w", r.Workflow, c, err)
	}
	_, _ = fmt.Fprintln(log, "audit", r.Workflow)
	r.AuditOutcome, err = await(ctx, c, r.Workflow, log)
	return r, err
}

// await waits for the audit's end.
func await(ctx context.Context, c temporal, id string, log io.Writer) (o workflows.AuditOutcome, err error) {
	err = (&following{
		c: c, id: id, what: "audit", kind: "Audit", log: log,
		hint: "it needs a worker",
		ask: func(ctx context.Context) (progress, error) {
			var p workflows.AuditProgress
			v, err := c.QueryWorkflow(ctx, id, "", workflows.QueryProgress)
			if err == nil {
				err = v.Get(&p)
			}
			return progress{done: p.Done, total: p.Total, doing: fmt.Sprintf("%s, %d findings", p.Phase, p.Faults), begun: p.Total > 0}, err
		},
	}).wait(ctx, &o)
	return o, err
}
