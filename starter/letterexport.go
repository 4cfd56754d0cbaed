package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

const exportHelp = `Writes the values of dead letters, one a line, as they came from Kafka: to be mended with any tool and sent again as new records.

  starter deadletters export --topic ai_backlog_logs --reason bad_time >letters.ndjson
  (mend letters.ndjson)
  starter send --ndjson --topic ai_backlog_logs letters.ndjson         with --kind metric or --kind event for those

What is sent has new offsets; the dead letters stay what they are. Records that are good as they are, now that the decoder or the table was mended,
need no export: redrive stores them under their own offsets. Keys and headers are not exported: give send --agent-id or --service for the key.

A value that is no line of text cannot be exported: empty, binary (not UTF-8, or with a NUL byte), or with line breaks in it. Each is named on standard
error, the exit code is 1, and starter deadletters show --value TOPIC/PARTITION/OFFSET prints it byte for byte.`

// letterExport are the flags of export.
type letterExport struct {
	letterFilter
	limit int
}

func newLetterExport() *cobra.Command {
	var f letterExport
	cmd := &cobra.Command{
		Use: "export --topic TOPIC", Short: "Write the values of dead letters as lines, to be mended and sent again", Long: exportHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.flags(cmd.Flags(), "dead")
	cmd.Flags().IntVar(&f.limit, "limit", 0, "at most so many, the first by partition and offset (default all)")
	return cmd
}

// unfit says why a value is no line that send would take as it is; empty: it is one.
func unfit(value string) string {
	switch {
	case value == "":
		return "empty"
	case !utf8.ValidString(value):
		return "binary: not UTF-8"
	case strings.ContainsRune(value, 0):
		return "binary: a NUL byte"
	case strings.ContainsAny(value, "\n\r"):
		return "line breaks"
	}
	return ""
}

func (f letterExport) run(ctx context.Context, out, log io.Writer) error {
	if f.topic == "" {
		return errors.New("say which topic: --topic (all lines are sent to one)")
	}
	if f.limit < 0 {
		return errors.New("--limit must be at least 1, or 0 for all")
	}
	where, args, err := f.where(time.Now())
	if err != nil {
		return err
	}
	conn, err := openLetters(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	sql := "SELECT _partition, _offset, value FROM dead_letters WHERE " + where + " ORDER BY _partition, _offset, _inserted_at"
	if f.limit > 0 {
		sql += fmt.Sprintf(" LIMIT %d", f.limit)
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("read dead letters: %w", err)
	}
	defer func() { _ = rows.Close() }()
	lines := bufio.NewWriterSize(out, 1<<20)
	exported, refused := 0, 0
	l := letter{Topic: f.topic}
	for rows.Next() {
		var value string
		if err := rows.Scan(&l.Partition, &l.Offset, &value); err != nil {
			return fmt.Errorf("read dead letters: %w", err)
		}
		if why := unfit(value); why != "" {
			refused++
			_, _ = fmt.Fprintf(log, "not exported: %s (%s); to get it: starter deadletters show --value %s\n", l.place(), why, l.place())
			continue
		}
		exported++
		_, _ = lines.WriteString(value) // Flush tells of a failure
		_ = lines.WriteByte('\n')
	}
	if err := errors.Join(rows.Err(), lines.Flush()); err != nil {
		return fmt.Errorf("export dead letters: %w", err)
	}
	_, _ = fmt.Fprintf(log, "exported %d, not exported %d\n", exported, refused)
	if refused > 0 {
		return fmt.Errorf("%d of %d dead letters are no lines of text and were not exported", refused, exported+refused)
	}
	return nil
}
