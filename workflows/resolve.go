package workflows

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// ResolveName is the update and the signal by which an operator decides what
// becomes of a batch. The update is refused, with a sentence, when the decision
// makes no sense; the signal, for many batches at once, is passed over then.
const ResolveName = "resolve"

// Verb is what a decision wants.
type Verb string

// The decisions.
const (
	Retry      Verb = "retry"       // try again now
	DeadLetter Verb = "dead_letter" // route what is at fault, or all that is absent
	Approve    Verb = "approve"     // of a held batch: its bad records are bad
	Accept     Verb = "accept"      // of a view at fault: it lacks these rows, or was filled by hand
	Skip       Verb = "skip"        // drop what is absent; needs a reason
)

// Verbs lists them all.
func Verbs() []Verb { return []Verb{Retry, DeadLetter, Approve, Accept, Skip} }

// Decision is an operator's. Skip and dead letter take effect when the running
// activity has ended, after the quiet time and a look, so that only records that
// are absent are touched. Until then retry takes them back.
type Decision struct {
	Verb   Verb   `json:"verb"`
	Reason string `json:"reason,omitempty"`
	All    bool   `json:"all,omitempty"` // dead letter: not only what is at fault
	By     string `json:"by,omitempty"`  // who decided
}

// String is one line for the outcome.
func (d Decision) String() string {
	s := string(d.Verb)
	if d.All {
		s += " all"
	}
	if d.By != "" {
		s += " by " + d.By
	}
	if d.Reason != "" {
		s += ": " + d.Reason
	}
	return s
}

// maxReason keeps a decision readable in a list.
const maxReason = 500

// listen takes decisions until the batch ends.
func (i *ingest) listen(ctx workflow.Context) error {
	err := workflow.SetUpdateHandlerWithOptions(ctx, ResolveName, func(ctx workflow.Context, d Decision) (string, error) {
		return i.take(ctx, d), nil
	}, workflow.UpdateHandlerOptions{Validator: i.refuse})
	if err != nil {
		return err
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var d Decision
			if workflow.GetSignalChannel(ctx, ResolveName).Receive(ctx, &d); ctx.Err() != nil {
				return
			}
			if err := i.refuse(d); err != nil {
				workflow.GetLogger(ctx).Warn("decision refused", "batch", i.in.ID(), "decision", d.String(), "error", err.Error())
				continue
			}
			i.take(ctx, d)
		}
	})
	return nil
}

// take keeps a decision for whoever waits for it.
func (i *ingest) take(ctx workflow.Context, d Decision) string {
	workflow.GetMetricsHandler(ctx).WithTags(map[string]string{activities.DecisionTopic: i.in.Topic, activities.DecisionVerb: string(d.Verb)}).Counter(activities.DecisionCounter).Inc(1)
	if i.pending() {
		was := i.decision.Verb
		i.decided("taken back: ")
		return fmt.Sprintf("%s is taken back", was)
	}
	i.decision = &d
	if d.Verb == Skip || d.Verb == DeadLetter {
		return fmt.Sprintf("%s: takes effect when nothing of the batch can land any more (about a minute), on records that are absent then", d.Verb)
	}
	return string(d.Verb) + ": taken"
}

// refuse is nil for a decision that makes sense now, else it says what does.
func (i *ingest) refuse(d Decision) error {
	switch {
	case d.Verb == Skip && strings.TrimSpace(d.Reason) == "":
		return errors.New("skip drops records for ever: give the reason, which is kept")
	case len(d.Reason) > maxReason:
		return fmt.Errorf("the reason has %d bytes: give %d at most", len(d.Reason), maxReason)
	case i.pending() && d.Verb == Retry:
		return nil // it takes the other decision back
	case i.pending():
		return fmt.Errorf("%s waits to be carried out: choose retry to take it back", i.decision.Verb)
	case i.decision != nil:
		return fmt.Errorf("%s is being carried out", i.decision.Verb)
	}
	can := i.options()
	for _, v := range can {
		if v == d.Verb {
			return nil
		}
	}
	if len(can) == 0 {
		return fmt.Errorf("%s makes no sense: %s", d.Verb, i.idleBecause())
	}
	return fmt.Errorf("%s makes no sense for a batch that is %s: %s", d.Verb, i.standing(), choices(can))
}

// options are the decisions that make sense now.
func (i *ingest) options() []Verb {
	switch {
	case !i.stuck:
		return nil
	case i.aside && i.state == blocked:
		return []Verb{Retry}
	case i.aside:
		return nil
	case i.letters != "" && i.state == blocked && i.view == nil:
		return []Verb{Retry}
	case i.letters != "" && i.state != blocked: // they are dead letters: to end it, terminate it
		return nil
	case i.state == waiting:
		return []Verb{Skip, DeadLetter}
	case i.state == held:
		return []Verb{Approve, Retry, DeadLetter, Skip}
	case i.state == blocked && i.view != nil && i.view.expired:
		return []Verb{Accept}
	case i.state == blocked && i.view != nil:
		return []Verb{Retry, Accept}
	case i.state == blocked:
		return []Verb{Retry, DeadLetter, Skip}
	}
	return nil
}

func (i *ingest) standing() string {
	if i.view != nil && i.state == blocked {
		return "blocked by a view"
	}
	return string(i.state)
}

func (i *ingest) idleBecause() string {
	if i.state == isolating {
		return "the batch searches for the rows that are refused; wait for its end"
	}
	return "the batch is on its way and waits for nobody"
}

func choices(can []Verb) string { return "choose " + strings.Join(words(can), ", ") }

func words(verbs []Verb) (out []string) {
	for _, v := range verbs {
		out = append(out, string(v))
	}
	return out
}

// given consumes a decision if it is one of these.
func (i *ingest) given(verbs ...Verb) (Verb, bool) {
	for _, v := range verbs {
		if i.decision != nil && i.decision.Verb == v {
			i.decided("")
			return v, true
		}
	}
	return "", false
}

// decided records the decision in the outcome and forgets it.
func (i *ingest) decided(how string) {
	if len(i.out.Decisions) < batch.MaxDecisions {
		i.out.Decisions = append(i.out.Decisions, how+i.decision.String())
	}
	i.decision = nil
}

// drop forgets a decision that came too late for what it was about.
func (i *ingest) drop(v Verb) {
	if i.decision != nil && i.decision.Verb == v {
		i.decision = nil
	}
}

// over says that what the batch waited for has come: what was decided about it
// meanwhile does not hold for the next trouble.
func (i *ingest) over() {
	i.stuck = false
	i.given(Retry) // it was
	i.drop(Accept)
	i.drop(Approve)
}

// pending tells whether a decision to drop or route records waits to take effect.
func (i *ingest) pending() bool {
	return i.decision != nil && !i.touching && (i.decision.Verb == Skip || i.decision.Verb == DeadLetter)
}

// interrupted tells whether a decision waits that ends the trying.
func (i *ingest) interrupted() bool {
	return !i.deciding && i.pending()
}
