package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"github.com/ai-backlog/ingest/batch"
)

// Settle ends what still runs of the batch's inserts and returns with
// ClickHouse's first good answer. The quiet time is counted from then: before
// it is over, an insert that nobody hears of any more may still land.
func (a *Activities) Settle(ctx context.Context, j Job) (int, error) {
	killed := 0
	prefix := batch.TokenPrefix(j.Workflow, j.Nonce)
	if j.Letters { // also those of a redrive before this one, which had another nonce
		prefix = j.Workflow + "/"
	}
	err := blips(ctx, func() error {
		n, err := a.Killer.Kill(ctx, prefix)
		killed += n
		return err
	})
	if err != nil {
		return 0, failIn(ctx, troubleOf(fmt.Errorf("end the inserts of %s: %w", j.Workflow, err)))
	}
	activity.GetLogger(ctx).Info("inserts of the batch ended", "batch", j.Workflow, "killed", killed)
	return killed, nil
}
