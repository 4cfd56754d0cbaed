package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/workflows"
)

const replayHelp = `Makes sure that each of these offsets has its row, or its dead letter, once: what ClickHouse has already is left alone, what is missing is read
from Kafka again and inserted. So replaying too much costs time and does no harm.

` + pickHelp + `

Only what the consumer is through with is replayed, below the group's committed offsets; what is above, its batches are still to bring.
After rows were deleted by hand give --after-erase: it waits until no insert from before can be under way any more.

The replay is a workflow, which the topic's consumer serves beside new records. Ctrl-C only ends the waiting; --attach waits again.
Ending the workflow in Temporal's UI does no harm: what is missing stays missing.`

// replayFlags are the flags of replay.
type replayFlags struct {
	pick
	topic, attach, reason  string
	wait, json, afterErase bool
}

func newReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay --topic TOPIC (--all | --from X --to Y | PARTITION:FIRST-LAST…)",
		Short: "Insert again what is missing in ClickHouse, and nothing else",
		Long:  replayHelp,
		Example: "  starter replay --topic ai_backlog_logs --all\n" +
			"  starter replay --topic ai_backlog_logs --from 2026-01-02T03:00:00Z --to 2026-01-02T04:00:00Z\n" +
			"  starter replay --topic ai_backlog_logs --after-erase 3:100-199",
		RunE: func(cmd *cobra.Command, ranges []string) error {
			f.ranges = ranges
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.topic, "topic", "", "topic whose records are replayed")
	flags.BoolVar(&f.all, "all", false, "everything that Kafka has")
	flags.StringVar(&f.from, "from", "", "from this offset, or time, on")
	flags.StringVar(&f.to, "to", "", "up to this offset, or before this time")
	flags.BoolVar(&f.afterErase, "after-erase", false, "rows were deleted by hand just now: wait "+activities.Quiet.String()+" first")
	flags.StringVar(&f.reason, "reason", "", "why, for whoever sees it in Temporal")
	flags.BoolVar(&f.wait, "wait", true, "wait for the end")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	flags.StringVar(&f.attach, "attach", "", "wait for the replay with this workflow ID, which was started before")
	return cmd
}

func (f replayFlags) run(ctx context.Context, out, log io.Writer) error {
	if f.attach != "" {
		if f.topic != "" || f.all || f.from != "" || f.to != "" || len(f.ranges) > 0 {
			return errors.New("--attach waits for a replay that was started before: give nothing else with it but --json")
		}
		c, err := dialTemporal(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return f.await(ctx, c, f.attach, out, log)
	}
	in, err := f.request(ctx, log)
	if err != nil {
		return err
	}
	if len(in.Ranges) == 0 {
		_, _ = fmt.Fprintln(log, "there is nothing to replay")
		return f.print(out, "", workflows.ReplayResult{})
	}
	c, err := dialTemporal(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	id, err := start(ctx, c, in)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(log, "replay %s: %d offsets of %d partitions\n", id, in.Ranges.Len(), partitions(in.Ranges))
	switch {
	case f.wait:
		return f.await(ctx, c, id, out, log)
	case f.json:
		return json.NewEncoder(out).Encode(map[string]any{"workflow_id": id, "asked": in.Ranges.Len()})
	}
	_, err = fmt.Fprintln(out, "it goes on by itself; to wait for it: starter replay --attach "+id)
	return err
}

// request asks Kafka which offsets are meant.
func (f replayFlags) request(ctx context.Context, log io.Writer) (in workflows.ReplayInput, err error) {
	if f.topic == "" {
		return in, errors.New("say which topic: --topic")
	}
	if err := f.check(); err != nil {
		return in, err
	}
	cfg, err := load()
	if err != nil {
		return in, err
	}
	if !slices.Contains(cfg.Topics.Names(), f.topic) {
		return in, fmt.Errorf("topic %s is none of those that are ingested: %s (TOPIC_LOGS, TOPIC_METRICS, TOPIC_EVENTS)", f.topic, strings.Join(cfg.Topics.Names(), ", "))
	}
	cl, err := openKafka(ctx, cfg.Kafka)
	if err != nil {
		return in, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	p, err := f.resolve(ctx, cl, cfg.Kafka.GroupID, f.topic)
	if err != nil {
		return in, kafka.Hint(err)
	}
	if p.above > 0 {
		_, _ = fmt.Fprintf(log, "left out: %d offsets above what is committed, which batches are still to bring\n", p.above)
	}
	if p.deleted > 0 {
		_, _ = fmt.Fprintf(log, "left out: %d offsets that Kafka has deleted\n", p.deleted)
	}
	if n := len(p.ranges); n > workflows.MaxReplayRanges {
		return in, fmt.Errorf("%d ranges are more than the %d of one replay: ask several times, or for longer ranges (what is there already is left alone)", n, workflows.MaxReplayRanges)
	}
	in = workflows.ReplayInput{Group: cfg.Kafka.GroupID, Topic: f.topic, TopicID: p.topicID, Ranges: p.ranges, Reason: f.reason}
	if f.afterErase {
		in.NotBefore = time.Now().Add(activities.Quiet)
	}
	return in, nil
}

// start starts the request under an ID of its own.
func start(ctx context.Context, c temporal, in workflows.ReplayInput) (string, error) {
	name, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	id := batch.ReplayID(in.Group, in.Topic, in.TopicID, name.String())
	_, err = c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.OperationsQueue, WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:         fmt.Sprintf("%s: replay of %d offsets of %d partitions", in.Topic, in.Ranges.Len(), partitions(in.Ranges)),
		TypedSearchAttributes: sdk.NewSearchAttributes(workflows.AttributeTopic.ValueSet(in.Topic), workflows.AttributeRecords.ValueSet(in.Ranges.Len())),
	}, workflows.Replay, in)
	var refused *serviceerror.InvalidArgument
	if errors.As(err, &refused) { // most likely an attribute that is not registered
		err = fmt.Errorf("%w: start a worker first, which registers the search attributes", err)
	}
	if err != nil {
		return "", fmt.Errorf("start replay %s at %s: %w", id, c, err)
	}
	return id, nil
}

func partitions(rs batch.Ranges) int {
	seen := map[int32]bool{}
	for _, r := range rs {
		seen[r.Partition] = true
	}
	return len(seen)
}

// await waits for the request's end and prints what it did.
func (f replayFlags) await(ctx context.Context, c temporal, id string, out, log io.Writer) error {
	var res workflows.ReplayResult
	err := (&following{
		c: c, id: id, what: "replay", kind: "Replay", log: log,
		hint: "it needs a worker, and a consumer of this group that plans the topic and has room beside new records; starter batches shows what is open",
		ask:  func(ctx context.Context) (progress, error) { return replayProgress(ctx, c, id) },
	}).wait(ctx, &res)
	if err != nil {
		return err
	}
	return f.print(out, id, res)
}

func replayProgress(ctx context.Context, c temporal, id string) (progress, error) {
	var p workflows.ReplayProgress
	v, err := c.QueryWorkflow(ctx, id, "", workflows.QueryProgress)
	if err == nil {
		err = v.Get(&p)
	}
	out := progress{done: p.Covered, total: p.Asked, doing: fmt.Sprintf("%d inserted", p.Stored), begun: p.Covered > 0 || p.Open > 0, notBefore: p.NotBefore}
	switch {
	case !out.begun && time.Now().Before(p.NotBefore):
		out.doing = "waits until " + p.NotBefore.Local().Format(time.TimeOnly)
	case !out.begun:
		out.doing = "waits for the consumer"
	}
	return out, err
}

func (f replayFlags) print(out io.Writer, id string, r workflows.ReplayResult) error {
	if f.json {
		return json.NewEncoder(out).Encode(struct {
			Workflow string `json:"workflow_id,omitempty"`
			workflows.ReplayResult
		}{id, r})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range []struct {
		name string
		n    int64
	}{
		{"offsets", r.Offsets},
		{"inserted", r.Stored},
		{"there already", r.Present},
		{"dead-lettered", r.DeadLettered},
		{"lost", r.Lost},
		{"skipped", r.Skipped},
		{"without a record", r.Holes},
		{"batches", int64(r.Batches)},
	} {
		_, _ = fmt.Fprintf(w, "%s\t%d\n", c.name, c.n) // Flush tells of a failure
	}
	return w.Flush()
}
