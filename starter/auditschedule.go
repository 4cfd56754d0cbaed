package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/workflows"
)

const (
	minEvery = time.Minute // a second look alone takes half of it
	// catchUp is how late an audit that Temporal missed may begin: the next one looks at all that this one would have.
	catchUp = time.Minute
)

// scheduleFlags are the flags of audit schedule.
type scheduleFlags struct {
	topic  string
	every  time.Duration
	remove bool
}

func newAuditSchedule() *cobra.Command {
	var f scheduleFlags
	cmd := &cobra.Command{
		Use:   "schedule --topic TOPIC (--every DURATION | --delete)",
		Short: "Have Temporal audit a topic again and again",
		Long: "Makes a Temporal Schedule that audits all of the topic, at once and then again and again, or changes the one that there is. An audit that\n" +
			"is still running when the next is due is not joined by another. The worker logs how each ended, a warning if it is not clean; starter audit --attach prints it in full.",
		Example: "  starter audit schedule --topic ai_backlog_logs --every 1h\n" +
			"  starter audit schedule --topic ai_backlog_logs --delete",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.topic, "topic", "", "topic whose records are compared")
	flags.DurationVar(&f.every, "every", 0, "how often, like 1h")
	flags.BoolVar(&f.remove, "delete", false, "delete the schedule")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })
	return cmd
}

func (f scheduleFlags) run(ctx context.Context, out io.Writer) error {
	cfg, err := load()
	if err == nil {
		err = ingested(cfg, f.topic)
	}
	switch {
	case err != nil:
		return err
	case f.remove == (f.every != 0):
		return errors.New("say how often, like --every 1h, or --delete")
	case !f.remove && f.every < minEvery:
		return fmt.Errorf("--every %s is too often: give %s or more", f.every, minEvery)
	}
	c, err := dialTemporal(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	id := workflows.AuditScheduleID(cfg.Kafka.GroupID, f.topic)
	done := "deleted"
	if f.remove {
		err = c.ScheduleClient().GetHandle(ctx, id).Delete(ctx)
		var none *serviceerror.NotFound
		if errors.As(err, &none) {
			err, done = nil, "was not there"
		}
	} else {
		done, err = f.install(ctx, c, id, cfg.Kafka.GroupID)
	}
	if err != nil {
		return fmt.Errorf("schedule %s at %s: %w", id, c, err)
	}
	_, err = fmt.Fprintf(out, "schedule %s: %s\n", id, done)
	return err
}

// install creates the schedule, or changes the one that is there: whether an operator has paused it stays as it is.
func (f scheduleFlags) install(ctx context.Context, c temporal, id, group string) (string, error) {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: f.every}}}
	policy := client.SchedulePolicies{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: catchUp}
	action := &client.ScheduleWorkflowAction{
		ID: id, Workflow: workflows.Audit, TaskQueue: workflows.OperationsQueue,
		Args: []any{workflows.AuditInput{AuditScope: activities.AuditScope{Group: group, Topic: f.topic}}},
	}
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: id, Spec: spec, Action: action, Overlap: policy.Overlap, CatchupWindow: policy.CatchupWindow,
		TriggerImmediately: true, // the first interval ends at a multiple of it: of a day, at midnight
	})
	if !errors.Is(err, sdk.ErrScheduleAlreadyRunning) {
		return "created, every " + f.every.String(), err
	}
	err = c.ScheduleClient().GetHandle(ctx, id).Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		s := in.Description.Schedule
		s.Spec, s.Action, s.Policy = &spec, action, &policy
		return &client.ScheduleUpdate{Schedule: &s}, nil
	}})
	return "changed, every " + f.every.String(), err
}
