package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"
	"golang.org/x/term"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/workflows"
)

const resumeHelp = `Goes on with a topic that stands still because Kafka lost records that had been planned (an unclean leader election), and new records take
their offsets. It shows what was lost, and asks.

Rows and dead letters of lost records keep their data and get another topic ID, so that new records at their offsets are not taken for
stored; ingest_exceptions says which. Then the topic goes on from where the lost records began, and every new record is stored once.
Consumers and workers go on running; the topic's consumer does it once no batch is left that could store something there.

It is exact, whatever dies meanwhile and however often it is run. Ctrl-C only ends the waiting; run it again to wait again.`

type resumeFlags struct {
	topic             string
	dryRun, json, yes bool
	wait              bool
}

func newResume() *cobra.Command {
	var f resumeFlags
	cmd := &cobra.Command{
		Use:     "resume --topic TOPIC",
		Short:   "Go on with a topic of which Kafka lost records",
		Long:    resumeHelp,
		Example: "  starter resume --topic ai_backlog_logs --dry-run\n  starter resume --topic ai_backlog_logs",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.topic, "topic", "", "topic that stands still")
	flags.BoolVar(&f.dryRun, "dry-run", false, "change nothing: show what was lost")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.BoolVar(&f.wait, "wait", true, "wait for the end")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

func (f resumeFlags) run(ctx context.Context, in io.Reader, out, log io.Writer) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	if f.topic == "" {
		return errors.New("say which topic: --topic")
	}
	kind, ok := cfg.Topics.Kinds()[f.topic]
	if !ok {
		return fmt.Errorf("topic %q is none of those that are ingested: %s (TOPIC_LOGS, TOPIC_METRICS, TOPIC_EVENTS)", f.topic, strings.Join(cfg.Topics.Names(), ", "))
	}
	c, err := dialTemporal(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	damage, err := inspect(ctx, c, cfg, f.topic, kind.Table())
	if err != nil {
		return err
	}
	if f.json && (f.dryRun || len(damage.Truncated) == 0) {
		return errors.Join(json.NewEncoder(out).Encode(damage), damage.unproven())
	}
	to := out
	if f.json {
		to = log
	}
	if err := damage.print(to); err != nil || f.dryRun || len(damage.Truncated) == 0 {
		return errors.Join(err, damage.unproven())
	}
	if !f.yes {
		if err := confirm(in, log); err != nil {
			return err
		}
	}
	id, err := f.start(ctx, c, workflows.ResumeInput{Group: cfg.Kafka.GroupID, Topic: f.topic, TopicID: damage.TopicID, Truncated: damage.truncations()})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(log, "resume %s\n", id)
	if !f.wait {
		return f.tell(out, id, nil)
	}
	return f.await(ctx, c, id, out, log)
}

// confirm asks a person. Whoever is none has to say so.
func confirm(in io.Reader, log io.Writer) error {
	if file, ok := in.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) { //nolint:gosec // G115: a file descriptor
		return errors.New("nothing was done: say --yes, since there is no terminal to ask at")
	}
	_, _ = fmt.Fprint(log, "Go on from there? [y/N] ")
	answer, _ := bufio.NewReader(in).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// start starts the request, or finds the same one, which is on its way.
func (f resumeFlags) start(ctx context.Context, c temporal, in workflows.ResumeInput) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	id := batch.ResumeID(in.Group, in.Topic, in.TopicID, in.Truncated)
	_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.OperationsQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            fmt.Sprintf("%s: resume after a truncation of %d partitions", in.Topic, len(in.Truncated)),
		TypedSearchAttributes:    sdk.NewSearchAttributes(workflows.AttributeTopic.ValueSet(in.Topic)),
	}, workflows.Resume, in)
	if err != nil {
		return "", fmt.Errorf("start resume %s at %s: %w", id, c, err)
	}
	return id, nil
}

func (f resumeFlags) await(ctx context.Context, c temporal, id string, out, log io.Writer) error {
	var res workflows.ResumeResult
	err := (&following{
		c: c, id: id, what: "resume", kind: "Resume", log: log, again: "starter resume --topic " + f.topic,
		hint: "it needs a worker, and a consumer of this group; batches that may store something where records were lost have to end first: starter batches shows them",
		ask: func(ctx context.Context) (progress, error) {
			var p workflows.ResumeProgress
			v, err := c.QueryWorkflow(ctx, id, "", workflows.QueryProgress)
			if err == nil {
				err = v.Get(&p)
			}
			doing := "waits for the consumer"
			if p.Planned {
				doing = "rows make way"
			}
			return progress{doing: doing, begun: p.Planned}, err
		},
	}).wait(ctx, &res)
	if err != nil {
		return err
	}
	return f.tell(out, id, &res)
}

func (f resumeFlags) tell(out io.Writer, id string, r *workflows.ResumeResult) error {
	switch {
	case f.json && r == nil:
		return json.NewEncoder(out).Encode(map[string]any{"workflow_id": id})
	case f.json:
		return json.NewEncoder(out).Encode(struct {
			Workflow string `json:"workflow_id"`
			workflows.ResumeResult
		}{id, *r})
	case r == nil:
		_, err := fmt.Fprintln(out, "it goes on by itself; to wait for it: starter resume --topic "+f.topic)
		return err
	}
	_, err := fmt.Fprintf(out, "the topic goes on; kept aside: %d rows, %d dead letters\n", r.KeptRows, r.KeptLetters)
	return err
}

// damage is what a topic has lost, as far as can be told.
type damage struct {
	Topic     string        `json:"topic"`
	TopicID   batch.TopicID `json:"topic_id"`
	Truncated []loss        `json:"truncated"`
	// Short are partitions that end below what was planned, without a newer leader
	// epoch that tells where: nobody can say which records are new.
	Short []batch.Position `json:"short,omitempty"`
}

// loss is one partition's.
type loss struct {
	batch.Truncation
	LogEnd  int64         `json:"log_end"` // new records are from End up to here
	Rows    int64         `json:"rows"`    // of lost records
	Letters int64         `json:"dead_letters"`
	KeptID  batch.TopicID `json:"kept_id"`
}

func (d damage) truncations() (ts []batch.Truncation) {
	for _, l := range d.Truncated {
		ts = append(ts, l.Truncation)
	}
	return ts
}

func (d damage) unproven() error {
	if len(d.Short) == 0 {
		return nil
	}
	var parts []int32
	for _, p := range d.Short {
		parts = append(parts, p.Partition)
	}
	slices.Sort(parts)
	return fmt.Errorf("partitions %v of %s end below what was planned, and no leader epoch tells where the loss began: if that lasts, do by hand what docs/operations.md says", parts, d.Topic)
}

func (d damage) print(out io.Writer) error {
	if len(d.Truncated) == 0 {
		_, err := fmt.Fprintf(out, "%s was not truncated, as far as its newest batch can tell: there is nothing to resume\n", d.Topic)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "PARTITION\tPLANNED UP TO\tLOST FROM\tKAFKA ENDS AT\tNEW RECORDS\tROWS OF LOST\tDEAD LETTERS\tKEPT UNDER TOPIC ID") // Flush tells of a failure
	for _, l := range d.Truncated {
		_, _ = fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", l.Partition, l.Planned, l.End, l.LogEnd, max(0, l.LogEnd-l.End), l.Rows, l.Letters, l.KeptID)
	}
	return w.Flush()
}
