package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
)

// persist goes on trying after err until it is nil or a trouble that trying
// cannot cure, which it returns. An outage is waited out in rounds, without
// limit; what an operator must mend is tried every minute, or when asked to.
// judge may find that a trouble is another than it seems.
func (i *ingest) persist(ctx workflow.Context, err error, try func(workflow.Context, pace) error, judge func(*activities.Trouble) error) (*activities.Trouble, error) {
	for err != nil {
		if ctx.Err() != nil { // the workflow was cancelled; its planner starts it again
			return nil, ctx.Err()
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() && i.view == nil && i.decision == nil && i.skipped.Len() == 0 { // days of it
			return nil, i.goOn(ctx)
		}
		t := activities.TroubleOf(err)
		i.out.Retries++
		if judge != nil {
			if err := judge(&t); err != nil {
				return nil, err
			}
		}
		if i.interrupted() {
			t.Class = activities.Decided
		}
		switch t.Class {
		case activities.Outage:
			if err := i.tell(ctx, waiting, t); err != nil {
				return nil, err
			}
			err = i.untilDecided(ctx, func(ctx workflow.Context) error { return try(ctx, round) })
		case activities.Lost, activities.Expired, activities.Disagree, activities.Rejected, activities.Decided:
			return &t, nil
		default: // blocked, a view at fault, and what only a newer worker knows
			if err := i.block(ctx, t); err != nil {
				return nil, err
			}
			if _, ok := i.given(Accept); ok {
				t.Class = activities.Decided
				return &t, nil
			}
			if !i.interrupted() {
				err = try(ctx, single)
			}
		}
	}
	i.over()
	return nil, nil
}

// endure is persist for what has to be done whatever somebody decides: a
// decision waits for its end.
func (i *ingest) endure(ctx workflow.Context, err error, try func(workflow.Context, pace) error) error {
	before := i.deciding
	i.deciding = true
	defer func() { i.deciding = before }()
	for {
		t, e := i.persist(ctx, err, try, nil)
		if t == nil || e != nil {
			return e
		}
		if e := i.block(ctx, *t); e != nil { // no question is answered like that, unless by a newer worker
			return e
		}
		err = try(ctx, single)
	}
}

// untilDecided ends what runs when a decision asks for it. The activity is
// waited for: it ends itself, or is given up after its heartbeat timeout.
func (i *ingest) untilDecided(ctx workflow.Context, run func(workflow.Context) error) error {
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	workflow.Go(ctx, func(ctx workflow.Context) {
		if workflow.Await(ctx, i.interrupted) == nil {
			cancel()
		}
	})
	return run(ctx)
}

// block says what is wrong and waits a minute, or until somebody decides.
func (i *ingest) block(ctx workflow.Context, t activities.Trouble) error {
	if err := i.tell(ctx, blocked, t); err != nil {
		return err
	}
	_, err := workflow.AwaitWithTimeout(ctx, blockedEvery, func() bool { return i.decision != nil && (i.decision.Verb == Retry || !i.deciding) })
	i.given(Retry)
	return err
}

// viewFault is a materialized view that threw after the table took a block.
type viewFault struct {
	taken   activities.Taken
	at      int64 // offsets of the job before the block
	expired bool  // the rows cannot be sent again under their token
}

// sameQuery is the server's answer while an earlier insert under the same token
// still runs: it says nothing of the table.
const sameQuery = 216

// ofReplicas are answers that say how replicas and their Keeper fare, and nothing of a view: the quorum was not reached in time (319), though
// the replica that was asked has the rows by then, or there are too few replicas (285), or no Keeper (242, 999), to send them again. A view's
// target may have said so as well. So it is waited for like any outage while the rows can be sent again under their token, and nobody is
// asked before that is over.
var ofReplicas = []int{242, 285, 319, 999}

// judge looks, after every error of an insert that the server answered, whether
// the table took the block nevertheless: then a view is at fault, whatever the
// code says. When something that nobody answered may still land, that has to be
// over before a record is called bad.
func (i *ingest) judge(ctx workflow.Context, in activities.InsertInput, t *activities.Trouble) error {
	i.behind(ctx, in.From.Done)
	if t.Code == 0 || t.Code == sameQuery || t.Block == 0 || !t.Progress.Doubt {
		return nil
	}
	block := i.job(in.Ranges.Slice(t.Progress.Done, t.Block))
	taken, err := i.taken(ctx, block)
	if err == nil && taken.Stored == 0 && t.Class == activities.Rejected && t.Progress.Silent {
		if err = i.settle(ctx); err == nil {
			taken, err = i.taken(ctx, block)
		}
	}
	if err != nil {
		return err
	}
	i.fault, i.warrant = block.Ranges, taken.Warrant
	switch {
	case taken.Stored > 0 && len(taken.Views) > 0:
		if i.view == nil || i.view.at != t.Progress.Done { // another block's: what was accepted was not this
			i.drop(Accept)
		}
		i.view = &viewFault{taken: taken, at: t.Progress.Done}
		if slices.Contains(ofReplicas, t.Code) && workflow.GetVersion(ctx, "wait-for-replicas-20261127", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
			return nil
		}
		t.Class = activities.ViewAtFault
		t.Message = fmt.Sprintf("a view is at fault: the table has %d rows of the block, then one of its views threw (%s): %s", taken.Stored, list(taken.Views), t.Message)
	case taken.Stored > 0 && t.Class == activities.Rejected: // a part of it, and no view: what is absent is another block
		t.Class, i.doubt = activities.Expired, true
	case taken.Warrant.Run != i.run: // an operator's reset
		t.Class, i.doubt = activities.Expired, true
	}
	return nil
}

// behind forgets a view's fault when its block was acknowledged, so that the rows are in the view as well: whoever was asked about it when the
// look has expired would fill it a second time.
func (i *ingest) behind(ctx workflow.Context, done int64) {
	if i.view != nil && done > i.view.at && workflow.GetVersion(ctx, "forget-fault-20261127", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		i.view = nil
		i.drop(Accept)
	}
}

// filled waits for the operator's word that a view, to which the rows can no
// longer be sent again, has been filled or may lack them.
func (i *ingest) filled(ctx workflow.Context, t activities.Trouble) error {
	i.view.expired = true
	t.Name, t.Code = i.trouble.Name, i.trouble.Code
	t.Message = "a view is at fault, and its rows can no longer be sent again: mend it, fill it, and accept. " + i.view.taken.Fill
	if err := i.tell(ctx, blocked, t); err != nil {
		return err
	}
	i.drop(Retry) // of when they could be
	if err := workflow.Await(ctx, func() bool { return i.decision != nil }); err != nil {
		return err
	}
	i.given(Accept)
	return nil
}
