package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/workflows"
)

// report is what audit prints.
type report struct {
	Verdict  string   `json:"verdict"`
	Workflow string   `json:"workflow_id"`
	Replays  []string `json:"replays,omitempty"` // of --repair; the verdict is from after them
	workflows.AuditOutcome
}

// faults are the kinds of findings, in the words of people.
func (r report) faults() []fault {
	return []fault{{"gap", r.Gaps}, {"stored more than once", r.Doubled}, {"dead letter more than once", r.DeadDoubled}, {"both stored and dead", r.Both}}
}

// directTwice is the fault that has event IDs instead of offsets.
const directTwice = "direct row more than once"

type fault struct {
	name string
	activities.Findings
}

// print tells the result. Its error is what was found, with the exit code that says so.
func (f auditFlags) print(out io.Writer, r report) error {
	r.Verdict = r.AuditOutcome.Verdict()
	var err error
	if f.json {
		err = json.NewEncoder(out).Encode(r)
	} else {
		err = r.table(out)
	}
	if err != nil {
		return err
	}
	switch {
	case r.Faults() > 0:
		var found []string
		for _, f := range r.faults() {
			if f.Offsets > 0 {
				found = append(found, fmt.Sprintf("%s: %d", f.name, f.Offsets))
			}
		}
		if n := r.Direct.Twice; n > 0 {
			found = append(found, fmt.Sprintf("%s: %d", directTwice, n))
		}
		return &exitError{notClean, errors.New("not clean: " + strings.Join(found, ", "))}
	case len(r.Untold) > 0:
		return &exitError{couldNotTell, errors.New("could not tell: " + r.Untold[0].Why)}
	}
	return nil
}

func (r report) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "%s\t%s\n", r.Topic, r.Verdict) // Flush tells of a failure
	for _, c := range []struct {
		name string
		n    int64
		show bool
	}{
		{"offsets compared", r.Offsets, true},
		{"stored", r.Stored, true},
		{"dead letters", r.Dead, true},
		{"holes", r.Holes, true},
		{"lost", r.Lost, true},
		{"skipped", r.Skipped, true},
		{"before the start", r.Opened, r.Opened > 0},
		{"expired", r.Expired, r.Expired > 0},
		{"deleted by Kafka", r.Deleted, r.Deleted > 0},
		{"came in meanwhile", r.Moved, r.Moved > 0},
		{"had a record that Kafka lost", r.Truncated, r.Truncated > 0},
		{"gaps", r.Gaps.Offsets, true},
		{"stored more than once", r.Doubled.Offsets, true},
		{"dead letters more than once", r.DeadDoubled.Offsets, r.DeadDoubled.Offsets > 0},
		{"both stored and dead", r.Both.Offsets, true},
		{"direct rows", r.Direct.Rows, r.Direct.Rows > 0},
		{"direct, in doubt", r.Direct.Doubt, r.Direct.Rows > 0},
		{"direct copies removed", r.Direct.Removed, r.Direct.Rows > 0},
		{"direct copies that stay", r.Direct.Kept, r.Direct.Kept > 0},
		{"direct rows more than once", r.Direct.Twice, r.Direct.Rows > 0},
	} {
		if c.show {
			_, _ = fmt.Fprintf(w, "%s\t%d\n", c.name, c.n)
		}
	}
	if r.Audited.Faults() > 0 {
		_, _ = fmt.Fprintln(w, "\nFAULT\tOFFSETS\tNUMBER")
	}
	for _, f := range r.faults() {
		for _, x := range f.Ranges {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%d\n", f.name, typed(x), x.Len())
		}
		if f.More {
			_, _ = fmt.Fprintf(w, "%s\t…\t%d\n", f.name, f.Offsets-f.Ranges.Len())
		}
	}
	if d := r.Direct; d.Twice > 0 {
		_, _ = fmt.Fprintf(w, "\n%s, by event_id:\n", directTwice)
		for _, id := range d.TwiceEvents {
			_, _ = fmt.Fprintln(w, id)
		}
		if n := d.Twice - int64(len(d.TwiceEvents)); n > 0 {
			_, _ = fmt.Fprintf(w, "… and %d more\n", n)
		}
	}
	if r.Expiry != "" {
		_, _ = fmt.Fprintf(w, "\nthe table drops rows by itself, in a way that audit cannot follow (TTL %s): rows that it dropped are among the gaps\n", r.Expiry)
	}
	for _, u := range r.Untold {
		_, _ = fmt.Fprintf(w, "\ncould not tell%s: %s\n", ofPartitions(u.Partitions), u.Why)
	}
	return w.Flush()
}

// typed is a range as replay and audit take it.
func typed(r batch.Range) string {
	s := fmt.Sprintf("%d:%d", r.Partition, r.First)
	if r.Last > r.First {
		s += "-" + strconv.FormatInt(r.Last, 10)
	}
	return s
}

func ofPartitions(ps []int32) string {
	const most = 10
	if len(ps) == 0 {
		return ""
	}
	var s []string
	for _, p := range ps[:min(len(ps), most)] {
		s = append(s, strconv.Itoa(int(p)))
	}
	if len(ps) > most {
		s = append(s, fmt.Sprintf("and %d more", len(ps)-most))
	}
	return " of partitions " + strings.Join(s, ", ")
}
