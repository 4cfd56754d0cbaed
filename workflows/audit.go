package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

const (
	// auditPiece is how many offsets one activity compares: a quarter of a second when all is well, so that a billion are a
	// hundred activities. Its boundaries are those of the activity's own steps.
	auditPiece = 10 << 20
	// auditAbreast leaves one of the worker's places for what else operators start.
	auditAbreast = 3
	// confirmAfter is how long a finding has to last. A redrive inserts a row before it marks its dead letter; if its worker dies
	// between the two, another takes it up after a heartbeat timeout and a retry.
	confirmAfter = 2 * activities.HeartbeatTimeout
	// auditKept bounds the ranges that are carried to the second look; pieces beyond it are looked at whole.
	auditKept = 2000
	// maxUntold bounds the reasons that are told.
	maxUntold = 20
)

// AuditID is the workflow ID of an audit that somebody asked for; name tells
// it from others. No batch has such an ID: it does not end in a number.
func AuditID(group, topic string, id batch.TopicID, name string) string {
	return batch.Prefix(group, topic, id) + "audit/" + name
}

// AuditScheduleID is the ID of the topic's schedule, and what the IDs of the
// workflows that it starts begin with. The topic ID is not part of it: the
// schedule outlives a topic that is created again.
func AuditScheduleID(group, topic string) string { return group + "/" + topic + "/audit" }

// AuditInput is the input of Audit.
type AuditInput struct {
	activities.AuditScope
	State *AuditState `json:"state,omitempty"` // of a continued run
}

// AuditState is how far an audit has come.
type AuditState struct {
	Bounds  activities.AuditBounds `json:"bounds"`
	Next    int                    `json:"next"`   // the piece to compare next
	Waited  bool                   `json:"waited"` // the second look may begin
	Again   int                    `json:"again"`  // the suspect to look at again next
	Sum     activities.Audited     `json:"sum"`    // of all that is settled
	Suspect []AuditSuspect         `json:"suspect,omitempty"`
	Untold  []activities.Untold    `json:"untold,omitempty"`
}

// AuditSuspect is a piece in which the first look found something.
type AuditSuspect struct {
	Range batch.Range        `json:"range"`
	Found activities.Audited `json:"found"`
}

// AuditOutcome is the result of an audit: of the ranges, every offset was
// compared. Findings were seen twice, some time apart.
type AuditOutcome struct {
	Group   string              `json:"group"`
	Topic   string              `json:"topic"`
	TopicID batch.TopicID       `json:"topic_id"`
	Ranges  batch.Ranges        `json:"ranges"`
	Untold  []activities.Untold `json:"untold,omitempty"`
	// Direct is of all rows of the topic that came straight from clients,
	// whatever the ranges. It is seen once: a direct row does not move.
	Direct activities.Direct `json:"direct"`
	activities.Audited
}

// Faults is the number of findings. Copies that were removed are none: that is
// how a record in doubt is meant to end.
func (o AuditOutcome) Faults() int64 { return o.Audited.Faults() + o.Direct.Twice }

// Verdict is "not clean" if anything is wrong, else "could not tell" if anything
// could not be compared, else "clean".
func (o AuditOutcome) Verdict() string {
	switch {
	case o.Faults() > 0:
		return "not clean"
	case len(o.Untold) > 0:
		return "could not tell"
	}
	return "clean"
}

// AuditProgress is the answer of QueryProgress.
type AuditProgress struct {
	Phase  string `json:"phase"`
	Done   int64  `json:"done"`  // offsets
	Total  int64  `json:"total"` // offsets; 0: not known yet
	Faults int64  `json:"faults"`
}

// Audit compares Kafka's offsets below the low watermark with the table and
// the dead letters, and names every gap and duplicate. All that it changes is
// that rows which came straight from clients go where Kafka has brought the same
// record. What it cannot compare it says; only what lies outside (Kafka or
// ClickHouse away) is waited for.
func Audit(ctx workflow.Context, in AuditInput) (AuditOutcome, error) {
	a := &audit{in: in}
	if in.State != nil {
		a.AuditState = *in.State
	}
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (AuditProgress, error) { return a.progress(), nil }); err != nil {
		return AuditOutcome{}, err
	}
	if in.State == nil {
		if err := a.begin(ctx); err != nil {
			return AuditOutcome{}, err
		}
	}
	if err := a.compare(ctx); err != nil {
		return AuditOutcome{}, err
	}
	if err := a.confirm(ctx); err != nil {
		return AuditOutcome{}, err
	}
	if err := a.resolveDirect(ctx); err != nil {
		return AuditOutcome{}, err
	}
	return a.close(ctx), nil
}

// audit is the state of one audit's workflow.
type audit struct {
	AuditState
	in        AuditInput
	direct    activities.Direct
	searching bool // the direct rows
}

// begin finds out what there is to compare.
func (a *audit) begin(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: lookTimeout, RetryPolicy: untilThere})
	err := workflow.ExecuteActivity(ctx, act.AuditBounds, a.in.AuditScope).Get(ctx, &a.Bounds)
	if err == nil || temporal.IsCanceledError(err) {
		a.Untold = a.Bounds.Untold
		return err
	}
	a.untold(activities.TroubleOf(err))
	return nil
}

// untilThere waits out an outage; what is no outage is not tried again.
var untilThere = &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second}

// compare is the first look at everything.
func (a *audit) compare(ctx workflow.Context) error {
	pieces := pieces(a.Bounds.Ranges)
	for a.Next < len(pieces) {
		wave := pieces[a.Next:min(a.Next+auditAbreast, len(pieces))]
		a.tell(ctx)
		found, err := a.look(ctx, wave, nil)
		if err != nil {
			return err
		}
		for i, f := range found {
			switch {
			case f == nil:
			case f.Faults() > 0:
				a.suspect(wave[i], *f)
			default:
				a.Sum.Add(*f)
			}
		}
		a.Next += len(wave)
		if err := a.goOn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// confirm is the second look, at what the first one found only.
func (a *audit) confirm(ctx workflow.Context) error {
	if len(a.Suspect) == 0 {
		return nil
	}
	if !a.Waited {
		a.tell(ctx)
		if err := workflow.Sleep(ctx, confirmAfter); err != nil {
			return err
		}
		a.Waited = true
	}
	for a.Again < len(a.Suspect) {
		wave := a.Suspect[a.Again:min(a.Again+auditAbreast, len(a.Suspect))]
		var ranges batch.Ranges
		var only []batch.Ranges
		for _, s := range wave {
			ranges, only = append(ranges, s.Range), append(only, listedIn(s.Found))
		}
		a.tell(ctx)
		found, err := a.look(ctx, ranges, only)
		if err != nil {
			return err
		}
		for i, f := range found {
			if f != nil {
				a.Sum.Add(confirmed(wave[i].Found, *f, only[i] != nil))
			}
		}
		a.Again += len(wave)
		if err := a.goOn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// resolveDirect comes last, and so in no run that is continued: nothing of it has
// to be carried on, and its failure costs nothing else.
func (a *audit) resolveDirect(ctx workflow.Context) error {
	if workflow.GetVersion(ctx, "resolve-direct-20261127", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return nil
	}
	a.searching = true
	a.tell(ctx)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: attemptTimeout, HeartbeatTimeout: activities.HeartbeatTimeout, RetryPolicy: untilThere})
	err := workflow.ExecuteActivity(ctx, act.ResolveDirect, activities.ResolveDirectInput{Topic: a.in.Topic}).Get(ctx, &a.direct)
	a.searching = false
	switch {
	case temporal.IsCanceledError(err):
		return err
	case err != nil:
		a.untold(activities.TroubleOf(err))
	case a.direct.Untold != "":
		a.note(a.direct.Untold)
	}
	return nil
}

// goOn continues in a new run before the history becomes too long.
func (a *audit) goOn(ctx workflow.Context) error {
	if !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		return nil
	}
	a.in.TopicID, a.in.State = a.Bounds.TopicID, &a.AuditState
	return workflow.NewContinueAsNewError(ctx, Audit, a.in)
}

// look compares the pieces at once and answers in their order; nil for one that
// could not be compared. only is nil, or what to look at of each piece, if not all.
func (a *audit) look(ctx workflow.Context, wave batch.Ranges, only []batch.Ranges) ([]*activities.Audited, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: attemptTimeout, HeartbeatTimeout: activities.HeartbeatTimeout, RetryPolicy: untilThere})
	var asked []workflow.Future
	for i, r := range wave {
		in := activities.AuditRangeInput{Topic: a.in.Topic, TopicID: a.Bounds.TopicID, Range: r}
		if only != nil {
			in.Only = only[i]
		}
		asked = append(asked, workflow.ExecuteActivity(ctx, act.AuditRange, in))
	}
	out := make([]*activities.Audited, len(wave))
	for i, f := range asked {
		var found activities.Audited
		err := f.Get(ctx, &found)
		if temporal.IsCanceledError(err) {
			return nil, err
		}
		if err != nil {
			a.untold(activities.TroubleOf(err), wave[i].Partition)
			continue
		}
		out[i] = &found
	}
	return out, nil
}

// suspect keeps what was found until the second look.
func (a *audit) suspect(r batch.Range, found activities.Audited) {
	kept := 0
	for _, s := range a.Suspect {
		kept += len(listedIn(s.Found))
	}
	if kept+len(listedIn(found)) > auditKept {
		for _, f := range []*activities.Findings{&found.Gaps, &found.Doubled, &found.DeadDoubled, &found.Both} {
			f.Ranges, f.More = nil, f.Offsets > 0
		}
	}
	a.Suspect = append(a.Suspect, AuditSuspect{Range: r, Found: found})
}

// untold notes why nothing can be said of a partition, or of the topic.
func (a *audit) untold(t activities.Trouble, partitions ...int32) {
	a.note(fmt.Sprintf("%s: %s", t.Name, t.Message), partitions...)
}

func (a *audit) note(why string, partitions ...int32) {
	i := slices.IndexFunc(a.Untold, func(u activities.Untold) bool { return u.Why == why })
	switch {
	case i < 0 && len(a.Untold) < maxUntold:
		a.Untold = append(a.Untold, activities.Untold{Partitions: partitions, Why: why})
		return
	case i < 0:
		i = maxUntold - 1
	}
	for _, p := range partitions {
		if !slices.Contains(a.Untold[i].Partitions, p) {
			a.Untold[i].Partitions = append(a.Untold[i].Partitions, p)
		}
	}
}

// pieces cuts each range where activities meet.
func pieces(ranges batch.Ranges) (out batch.Ranges) {
	for _, r := range ranges {
		for r.Len() > 0 {
			p := r
			p.Last = min(r.Last, (r.First/auditPiece+1)*auditPiece-1)
			out = append(out, p)
			r.First = p.Last + 1
		}
	}
	return out
}
