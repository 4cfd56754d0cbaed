package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ai-backlog/ingest/settings"
)

const (
	// apart is how long after the first reading of the programs' metrics the second one is taken, and after which --watch draws
	// again. Batches end about once a second, so rates over less would jump.
	apart = 2 * time.Second
	// smooth is how far back --watch compares: what it shows is the rate of so long.
	smooth = 30 * time.Second
	// readLimit is for one program's metrics: --watch has to draw again.
	readLimit = 3 * time.Second
)

const statusHelp = `Shows at a glance whether data flows, how late it is, and what is stuck: of each topic the records sent to Kafka and stored per second, the lag
in records and as the age of the oldest of them, the time from Kafka to ClickHouse (freshness: median and 99th percentile of what was
stored meanwhile), unfinished batches by state, dead letters since the workers started, and which consumer plans. Below are the problems,
the oldest first, each with the command that shows more and the section of the runbook.

Batches, those of KAFKA_GROUP_ID, and workers are Temporal's word, which takes a worker that died for alive for up to 90 s. The rest is read
twice, 2 s apart, from the metrics of the programs that --metrics names: name every consumer, and every worker. A name is asked at all addresses
that it has. What is not known is shown as - and never as 0.

The exit code is 0 if data flows, 1 if something needs somebody, 2 if it cannot tell (and nothing is known to be wrong): Temporal or the consumer that
plans a topic was not reached, or that consumer does not know where the topic stands, or records wait and a program that --metrics names does not answer. --watch draws every 2 s, with rates of the last 30 s, until ctrl-C, which ends it with 0.`

// statusFlags are the flags of status.
type statusFlags struct {
	metrics     []string
	watch, json bool
}

func newStatus() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show whether data flows, how late it is, and what is stuck",
		Long:    statusHelp,
		Example: "  starter status\n  starter status --watch --metrics consumer-1:9464,consumer-2:9464,worker-1:9465,worker-2:9465",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return untold(f.run(cmd.Context(), cmd.OutOrStdout()))
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.metrics, "metrics", []string{"127.0.0.1:9464", "127.0.0.1:9465"}, "host:port of every consumer's and worker's METRICS_ADDR")
	flags.BoolVar(&f.watch, "watch", false, "draw it again every 2 s, until ctrl-C")
	flags.BoolVar(&f.json, "json", false, "one JSON object, or with --watch one a line")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return untold(err) })
	return cmd
}

func (f statusFlags) run(ctx context.Context, out io.Writer) error {
	for i, addr := range f.metrics {
		f.metrics[i] = strings.TrimSpace(addr)
		if err := settings.MetricsAddr(f.metrics[i]); err != nil || f.metrics[i] == "off" {
			return fmt.Errorf("--metrics has %q: give host:port of each program, separated by commas", addr)
		}
	}
	var cfg Config
	if err := errors.Join(settings.Read(&cfg), cfg.Topics.Validate()); err != nil {
		return err // of Kafka only the group counts
	}
	w := &watching{group: cfg.Kafka.GroupID, topics: cfg.Topics.Names(), metrics: f.metrics, lookup: net.DefaultResolver.LookupNetIP}
	defer w.close()
	w.read(ctx)
	if f.watch {
		return f.draw(ctx, out, w)
	}
	if !pause(ctx, apart) {
		return &exitError{interrupted, errInterrupted}
	}
	w.read(ctx)
	o := w.overview(ctx)
	if ctx.Err() != nil {
		return &exitError{interrupted, errInterrupted}
	}
	if err := f.print(out, o); err != nil {
		return err
	}
	return o.err()
}

// draw shows it until ctx ends, which is no error. On a terminal each takes the place of the one before.
func (f statusFlags) draw(ctx context.Context, out io.Writer, w *watching) error {
	file, ok := out.(*os.File)
	inPlace := ok && !f.json && term.IsTerminal(int(file.Fd())) //nolint:gosec // G115: a file descriptor
	for first := true; pause(ctx, apart); first = false {
		w.read(ctx)
		o := w.overview(ctx)
		if ended(ctx) {
			break
		}
		var text strings.Builder
		if err := f.print(&text, o); err != nil {
			return err
		}
		if _, err := io.WriteString(out, frame(text.String(), inPlace, first)); err != nil {
			return err
		}
	}
	return nil
}

// frame is the text as it is written: in place it begins at the top of the screen and wipes what was below it. Else frames are parted by an
// empty line, if they have several lines each.
func frame(text string, inPlace, first bool) string {
	switch {
	case inPlace && first:
		return "\x1b[2J\x1b[H" + text
	case inPlace:
		return "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
	case first || strings.Count(text, "\n") < 2:
		return text
	}
	return "\n" + text
}

func (f statusFlags) print(out io.Writer, o overview) error {
	if f.json {
		return json.NewEncoder(out).Encode(o)
	}
	return o.table(out)
}

func ended(ctx context.Context) bool { return ctx.Err() != nil }

// pause is false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
