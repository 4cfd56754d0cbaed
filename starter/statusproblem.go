package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// slow is how long a batch may run, or a record wait without a batch, until somebody should look: an insert of unknown outcome
	// takes a minute, and the quiet time after it a little more.
	slow = 3 * time.Minute
	// runbook is where sections are.
	runbook = "docs/operations.md#"
)

// problem is something that needs somebody.
type problem struct {
	Topic   string    `json:"topic,omitempty"`
	What    string    `json:"what"`
	Since   time.Time `json:"since,omitzero"`
	Command string    `json:"command"` // shows more
	Section string    `json:"section"` // of the runbook
}

func (p problem) String() string {
	if p.Topic == "" {
		return p.What
	}
	return p.Topic + ": " + p.What
}

// states are those of batches that need somebody, with their sections.
var states = []struct{ state, section string }{
	{"blocked", "blocked"}, {"held", "held"}, {"waiting", "clickhouse-cannot-be-reached"}, {"running", "batches-that-nobody-works-on"},
}

// judge finds the problems, the oldest first, and says what that means; untold: what would have to be known was not.
func (o *overview) judge(now reading, open []row, untold bool) {
	if o.Workers != nil && len(o.Workers) == 0 {
		o.Problems = append(o.Problems, problem{What: "no worker asks Temporal for work", Command: "starter batches --state running", Section: runbook + "batches-that-nobody-works-on"})
	}
	for _, t := range o.Topics {
		o.Problems = append(o.Problems, batchProblems(t.Topic, open, o.At)...)
		o.Problems = append(o.Problems, t.problems(now, o.At)...)
	}
	slices.SortStableFunc(o.Problems, func(a, b problem) int {
		switch {
		case a.Since.IsZero() == b.Since.IsZero():
			return a.Since.Compare(b.Since)
		case a.Since.IsZero():
			return 1
		}
		return -1
	})
	switch {
	case len(o.Problems) > 0:
		o.Verdict = needsSomebody
	case untold:
		o.Verdict = unclear
	default:
		o.Verdict = flowing
	}
}

// batchProblems are one for each state that needs somebody.
func batchProblems(topic string, open []row, now time.Time) (found []problem) {
	for _, s := range states {
		var n int
		var oldest row
		for _, r := range open {
			if r.Topic != topic || r.State != s.state || r.State == "running" && now.Sub(r.Started) < slow {
				continue
			}
			if n++; n == 1 || r.Started.Before(oldest.Started) {
				oldest = r
			}
		}
		if n == 0 {
			continue
		}
		p := problem{Topic: topic, Since: oldest.Started, Command: "starter batches --state " + s.state + " --topic " + topic, Section: runbook + s.section}
		p.What = fmt.Sprintf("%d %s %s, the oldest for %s", n, plural(n), s.state, age(now.Sub(oldest.Started)))
		if oldest.Error != "" && s.state != "running" {
			p.What += ": " + oldest.Error
		}
		found = append(found, p)
	}
	return found
}

func plural(n int) string {
	if n == 1 {
		return "batch is"
	}
	return "batches are"
}

// problems are those that the consumers' metrics tell.
func (t topicOverview) problems(now reading, at time.Time) (found []problem) {
	is := func(name string, value float64) bool { v := now.most(name, t.Topic); return v != nil && *v == value }
	if is("ingest_topic_stopped", 1) {
		found = append(found, problem{Topic: t.Topic, What: "it stands still: Kafka lost records that were planned", Command: "starter resume --dry-run --topic " + t.Topic, Section: runbook + "a-topic-stands-still"})
	}
	if is("ingest_audit_clean", 0) {
		found = append(found, problem{Topic: t.Topic, What: "the newest audit of the whole topic is not clean", Command: "starter audit --topic " + t.Topic, Section: runbook + "an-audit-is-not-clean"})
	}
	if t.LagSeconds == nil {
		return found
	}
	late := time.Duration(*t.LagSeconds * float64(time.Second))
	since := at.Add(-late)
	if keeps := now.most("ingest_topic_retention_seconds", t.Topic); keeps != nil && !math.IsInf(*keeps, 0) && *keeps > 0 && *t.LagSeconds > *keeps/2 {
		found = append(found, problem{
			Topic: t.Topic, Since: since, What: fmt.Sprintf("a record waits for %s, and Kafka deletes it after %s", age(late), age(time.Duration(*keeps*float64(time.Second)))),
			Command: "starter batches --topic " + t.Topic, Section: runbook + "lag-nears-the-retention",
		})
	}
	if t.Batches != nil && len(t.Batches) == 0 && late > slow && len(t.Planners) > 0 {
		found = append(found, problem{
			Topic: t.Topic, Since: since, What: fmt.Sprintf("a record waits for %s, and no batch is open: the log of %s says why, after: planning waits", age(late), t.Planners[0]),
			Command: "starter batches --topic " + t.Topic, Section: nobodyPlans,
		})
	}
	return found
}
