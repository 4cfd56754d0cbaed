package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ai-backlog/ingest/record"
	"github.com/ai-backlog/ingest/settings"
)

const sendHelp = `Sends each line of the files (- is standard input) as one record, and waits until Kafka has acknowledged all of them.

A line of a log becomes a record with the line as its message: without LF or CRLF, otherwise byte for byte; bytes that are
not UTF-8 become U+FFFD and the attribute invalid_utf8 says so. Empty lines are skipped. The attributes file and line say
where it stood. Its level is the first of these within 128 bytes, else --level:
  INFO             TRACE, DEBUG, INFO, NOTICE, WARN, WARNING, ERROR, ERR, FATAL, CRITICAL, CRIT, ALERT, EMERG, PANIC in capitals
  [error] <warn>   in brackets, in any case
  error:           before a colon, in any case
  level=error      the value of level, lvl or severity, in any case

With --kind metric or event, or with --ndjson, each line is a record already and is sent as it is.

A line that is too large for the topic is refused by number and size, the others are sent, and the exit code is 1.

With --fallback, records go straight to ClickHouse (CLICKHOUSE_…) while Kafka cannot be reached: from the start, or once it has left everything
unanswered for FALLBACK_AFTER. Those of NDJSON that are not valid, or have no event_id, wait for Kafka all the same. What Kafka may have although it
has not said so is stored marked in the end, and starter audit resolves it.`

// patience is how long Kafka may leave everything unanswered: longer than the
// election of a leader takes, shorter than a person waits.
const patience = 15 * time.Second

// sendFlags are the flags of send.
type sendFlags struct {
	kind, service, level, layout, agent, topic string
	ndjson, fallback                           bool
	wait                                       time.Duration
}

func newSend() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send [flags] FILE…",
		Short: "Send log files or NDJSON to Kafka",
		Long:  sendHelp,
		Example: "  starter send /var/log/app.log\n" +
			"  starter send --service sshd --time-layout stamp auth.log\n" +
			"  my-agent | starter send --kind event -",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return f.run(cmd.Context(), files, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.kind, "kind", record.Log.String(), "what the records are: "+strings.Join(kindNames(), ", "))
	flags.StringVar(&f.service, "service", "", "service of the log records, and their key")
	flags.StringVar(&f.agent, "agent-id", "", "agent of the log records; it is the key then: one agent's records keep their order")
	flags.StringVar(&f.level, "level", "INFO", "level of lines that show none")
	flags.StringVar(&f.layout, "time-layout", "", "how the time at the start of each line is written: a Go layout or one of "+strings.Join(layoutNames(), ", ")+"; without a zone it is local time (default: the time is now)")
	flags.BoolVar(&f.ndjson, "ndjson", false, "with --kind log: each line is a JSON record already (also --json)")
	flags.StringVar(&f.topic, "topic", "", "send to this topic instead of the kind's (TOPIC_LOGS, TOPIC_METRICS, TOPIC_EVENTS)")
	flags.BoolVar(&f.fallback, "fallback", false, "while Kafka cannot be reached, store records straight in ClickHouse")
	flags.DurationVar(&f.wait, "timeout", patience, "give up when Kafka has acknowledged nothing for so long, and with --fallback ClickHouse has stored nothing")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "json" {
			name = "ndjson"
		}
		return pflag.NormalizedName(name)
	})
	return cmd
}

// run sends the files; every failure that can be known before is told before
// anything is sent.
func (f sendFlags) run(ctx context.Context, files []string, stdin io.Reader, out, log io.Writer) error {
	kind, err := kindOf(f.kind)
	if err != nil {
		return err
	}
	clock := newClock(f.layout)
	if !clock.dated() {
		return fmt.Errorf("--time-layout %q tells no day: give one of %s, or a Go layout like %q", f.layout, strings.Join(layoutNames(), ", "), time.DateTime)
	}
	cfg, err := loadClient(f.fallback)
	if err != nil {
		return err
	}
	asIs := f.ndjson || kind != record.Log
	if cfg.Topics, kind, err = f.aim(cfg.Topics, kind); err != nil {
		return err
	}
	if err := readable(files); err != nil {
		return err
	}
	s := &sender{
		cfg: cfg, kind: kind, patience: f.wait, terminal: newTerminal(log, files), stdin: stdin, key: cmp.Or(f.agent, f.service),
		encoding: encoding{asIs: asIs, clock: clock, level: f.level, service: f.service, agent: f.agent},
	}
	if err := s.open(); err != nil {
		return err
	}
	defer s.abandon(ctx)
	if err := s.preflight(ctx); err != nil {
		return fmt.Errorf("%w; nothing was sent", err)
	}
	err = s.run(ctx, files)
	s.terminal.clear()
	_, _ = fmt.Fprintln(out, s.summary())
	if err != nil {
		st := s.client.Stats()
		return fmt.Errorf("%w; %d records were acknowledged, %d were not", err, st.Sent+st.Direct+st.Marked, st.Buffered)
	}
	if n := s.counts.refused.Load(); n > 0 {
		return fmt.Errorf("%d lines are too large for topic %s and were not sent", n, s.topic())
	}
	return nil
}

// aim is where the records go and what they are there: a topic that is another
// kind's has that kind's records.
func (f sendFlags) aim(topics settings.Topics, kind record.Kind) (settings.Topics, record.Kind, error) {
	if f.topic == "" {
		return topics, kind, nil
	}
	if other, ok := topics.Kinds()[f.topic]; ok {
		return topics, other, nil
	}
	topics = topics.With(kind, f.topic)
	if err := topics.Validate(); err != nil {
		return topics, kind, fmt.Errorf("--topic: %w", err)
	}
	return topics, kind, nil
}

// readable checks all files before the first is sent.
func readable(files []string) error {
	var errs []error
	for _, name := range files {
		if name == "-" {
			continue
		}
		info, err := os.Stat(name)
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a directory", name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func layoutNames() []string {
	var names []string
	for name := range layouts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
