package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// listedIn is every range of every finding, or nil if not all are listed.
func listedIn(found activities.Audited) (rs batch.Ranges) {
	for _, f := range []activities.Findings{found.Gaps, found.Doubled, found.DeadDoubled, found.Both} {
		if f.More {
			return nil
		}
		rs = append(rs, f.Ranges...)
	}
	return rs.Sort()
}

// confirmed is what both looks found. The second one saw only what the first
// had listed, or else all of the piece: then it stands for itself, but for
// kinds of findings that the first look had none of.
func confirmed(first, second activities.Audited, only bool) activities.Audited {
	if !only {
		for _, f := range [][2]*activities.Findings{{&first.Doubled, &second.Doubled}, {&first.DeadDoubled, &second.DeadDoubled}, {&first.Both, &second.Both}} {
			if f[0].Offsets == 0 {
				*f[1] = activities.Findings{}
			}
		}
		return second
	}
	gaps := first.Gaps.Offsets
	for _, f := range [][2]*activities.Findings{{&first.Gaps, &second.Gaps}, {&first.Doubled, &second.Doubled}, {&first.DeadDoubled, &second.DeadDoubled}, {&first.Both, &second.Both}} {
		*f[0] = inBoth(*f[0], *f[1])
	}
	first.Moved += gaps - first.Gaps.Offsets
	return first
}

func inBoth(a, b activities.Findings) activities.Findings {
	if b.More { // it fell apart into more ranges than are listed
		return b
	}
	rs := a.Ranges.Sub(a.Ranges.Sub(b.Ranges))
	return activities.Findings{Offsets: rs.Len(), Ranges: rs}
}

func (a *audit) progress() AuditProgress {
	p := AuditProgress{Phase: "asking Kafka", Total: a.Bounds.Ranges.Len(), Faults: a.Sum.Faults() + a.direct.Twice}
	for _, r := range pieces(a.Bounds.Ranges)[:a.Next] {
		p.Done += r.Len()
	}
	for _, s := range a.Suspect[a.Again:] {
		p.Faults += s.Found.Faults()
	}
	switch {
	case p.Done < p.Total:
		p.Phase = "comparing"
	case len(a.Suspect) > a.Again:
		p.Phase = "looking a second time"
	case a.searching:
		p.Phase = "searching rows that came directly"
	case p.Total > 0:
		p.Phase = "done"
	}
	return p
}

func (a *audit) tell(ctx workflow.Context) {
	p := a.progress()
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("%s: %d of %d offsets of %s, %d findings so far", p.Phase, p.Done, p.Total, a.in.Topic, p.Faults))
}

// close says how the audit ended, in the UI and in the worker's log: nobody may be waiting for one that a schedule started.
func (a *audit) close(ctx workflow.Context) AuditOutcome {
	o := AuditOutcome{Group: a.in.Group, Topic: a.in.Topic, TopicID: a.Bounds.TopicID, Ranges: a.Bounds.Ranges, Untold: a.Untold, Direct: a.direct, Audited: a.Sum}
	text := fmt.Sprintf("**%s**: %d offsets of %s; stored %d, dead letters %d, holes %d, skipped %d, lost %d, opened %d, expired %d, deleted %d\n\n| | offsets | where |\n|---|---|---|\n",
		o.Verdict(), o.Offsets, o.Topic, o.Stored, o.Dead, o.Holes, o.Skipped, o.Lost, o.Opened, o.Expired, o.Deleted)
	for _, f := range []struct {
		name string
		activities.Findings
	}{{"gaps", o.Gaps}, {"stored more than once", o.Doubled}, {"dead letters more than once", o.DeadDoubled}, {"both stored and dead", o.Both}} {
		text += fmt.Sprintf("| %s | %d | %s |\n", f.name, f.Offsets, head(f.Ranges))
	}
	if d := o.Direct; d.Rows > 0 {
		text += fmt.Sprintf("\ndirect rows %d, in doubt %d, removed as copies %d, stored twice %d %v\n", d.Rows, d.Doubt, d.Removed, d.Twice, d.TwiceEvents)
	}
	for _, u := range o.Untold {
		text += fmt.Sprintf("\ncould not tell: partitions %v: %s\n", u.Partitions, u.Why)
	}
	workflow.SetCurrentDetails(ctx, text)
	log := workflow.GetLogger(ctx).Info
	if o.Verdict() != "clean" {
		log = workflow.GetLogger(ctx).Warn
	}
	log("audit ended", "topic", o.Topic, "verdict", o.Verdict(), "offsets", o.Offsets,
		"gaps", o.Gaps.Offsets, "doubled", o.Doubled.Offsets+o.DeadDoubled.Offsets, "both", o.Both.Offsets, "direct", o.Direct.Rows, "direct_removed", o.Direct.Removed, "direct_twice", o.Direct.Twice, "untold", len(o.Untold))
	return o
}
