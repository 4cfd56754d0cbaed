package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

func (o overview) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "TOPIC\tSENT/S\tSTORED/S\tLAG\tLATE\tFRESH P50\tP99\tBATCHES\tDEAD\tPLANNER") // Flush tells of a failure
	for _, t := range o.Topics {
		planner := strings.Join(t.Planners, " and ")
		if planner == "" {
			planner = "-"
		}
		cells := []string{
			t.Topic, perSecond(t.Sent), perSecond(t.Stored), count(t.Lag), seconds(t.LagSeconds), seconds(t.P50), seconds(t.P99), byState(t.Batches), count(t.DeadLetters), planner,
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	workers := "-"
	if o.Workers != nil {
		workers = strconv.Itoa(len(o.Workers))
	}
	_, _ = fmt.Fprintf(&b, "\nworkers: %s, %s: %s\n", workers, o.At.UTC().Format("2006-01-02 15:04:05Z"), o.Verdict)
	for _, u := range o.Unknown {
		_, _ = fmt.Fprintf(&b, "%s: %s\n", unclear, u)
	}
	for _, p := range o.Problems {
		_, _ = fmt.Fprintf(&b, "%s\n    %s    (%s)\n", p, p.Command, p.Section)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func perSecond(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v != 0 && *v < 10:
		return strconv.FormatFloat(*v, 'f', 1, 64)
	}
	return strconv.FormatFloat(*v, 'f', 0, 64)
}

func count(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

func seconds(v *float64) string {
	if v == nil {
		return "-"
	}
	return age(time.Duration(*v * float64(time.Second)))
}

// age is a time to the eye: tenths up to ten seconds.
func age(d time.Duration) string {
	if d > 0 && d < 10*time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	}
	return d.Round(time.Second).String()
}

// byState is as in "2 running, 1 blocked".
func byState(n map[string]int) string {
	if n == nil {
		return "-"
	}
	var parts []string
	for state, batches := range n {
		parts = append(parts, fmt.Sprintf("%d %s", batches, state))
	}
	if len(parts) == 0 {
		return "none"
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
