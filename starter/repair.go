package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/workflows"
)

// repair replays the gaps that the audit has listed and audits again, as long as
// that leaves fewer gaps. Where this process dies in between, the replay or the
// audit that was started goes on, and what is missing is found by the next audit.
// With an error comes the last report that there was.
func repair(ctx context.Context, c temporal, s activities.AuditScope, topic batch.TopicID, r report, log io.Writer) (report, error) {
	for r.Gaps.Offsets > 0 {
		id, err := startReplay(ctx, c, r.AuditOutcome)
		if err != nil {
			return r, err
		}
		_, _ = fmt.Fprintf(log, "replay %s of %d offsets: it begins in %s, when nothing can be under way any more to where rows were deleted\n", id, r.Gaps.Ranges.Len(), activities.Quiet)
		if err := awaitReplay(ctx, c, id, log); err != nil {
			return r, err
		}
		r.Replays = append(r.Replays, id)
		after, err := audit(ctx, c, s, topic, log)
		if err != nil {
			return r, err
		}
		before := r.Gaps.Offsets
		after.Direct.Removed += r.Direct.Removed // each audit has its own
		r.Workflow, r.AuditOutcome = after.Workflow, after.AuditOutcome
		if r.Gaps.Offsets >= before {
			break
		}
	}
	return r, nil
}

// startReplay asks the topic's planner for the gaps, not before the quiet time: rows may have been erased by hand just now.
func startReplay(ctx context.Context, c temporal, o workflows.AuditOutcome) (string, error) {
	return start(ctx, c, workflows.ReplayInput{
		Group: o.Group, Topic: o.Topic, TopicID: o.TopicID, Ranges: o.Gaps.Ranges, NotBefore: time.Now().Add(activities.Quiet), Reason: "gaps that an audit found",
	})
}

func awaitReplay(ctx context.Context, c temporal, id string, log io.Writer) error {
	return (replayFlags{json: true}).await(ctx, c, id, io.Discard, log)
}
