package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const deadLettersHelp = `Shows the records that could not be stored as they are, from ClickHouse's table dead_letters: raw, with the reason and their place in Kafka.

States: dead, redriven (stored after all), skipped (an operator decided to drop it).`

func newDeadLetters() *cobra.Command {
	cmd := &cobra.Command{Use: "deadletters", Short: "List, count, show and export dead letters", Long: deadLettersHelp}
	cmd.AddCommand(newLetterList(), newLetterCount(), newLetterShow(), newLetterExport())
	return cmd
}

// letterFilter says which dead letters are meant.
type letterFilter struct {
	topic, reason, state, since, until string
}

func (f *letterFilter) flags(flags *pflag.FlagSet, state string) {
	flags.StringVar(&f.topic, "topic", "", "only records of this topic")
	flags.StringVar(&f.reason, "reason", "", "only those with this reason, like missing_field")
	flags.StringVar(&f.state, "state", state, "only those in this state: dead, redriven or skipped; all: whatever it is")
	flags.StringVar(&f.since, "since", "", "only those that became dead letters at this time or later, like 2026-01-02T03:04:05Z, or in so long, like 1h30m")
	flags.StringVar(&f.until, "until", "", "only those that became dead letters before this time, or this long ago")
}

// where is the condition, without values, and the values.
func (f letterFilter) where(now time.Time) (sql string, args []any, err error) {
	sql = "1"
	add := func(condition string, value any) {
		sql += " AND " + condition
		args = append(args, value)
	}
	if f.topic != "" {
		add("_topic = ?", f.topic)
	}
	if f.reason != "" {
		add("reason = ?", f.reason)
	}
	switch f.state {
	case "all":
	case "dead", "redriven", "skipped":
		add("state = ?", f.state)
	default:
		return "", nil, fmt.Errorf("--state %q is none of dead, redriven, skipped, all", f.state)
	}
	for _, b := range []struct{ flag, text, condition string }{
		{"--since", f.since, "_inserted_at >= fromUnixTimestamp64Milli(?)"},
		{"--until", f.until, "_inserted_at < fromUnixTimestamp64Milli(?)"},
	} {
		if b.text == "" {
			continue
		}
		t, err := moment(b.flag, b.text, now)
		if err != nil {
			return "", nil, err
		}
		add(b.condition, t.UnixMilli())
	}
	return sql, args, nil
}

// moment is a time, or a duration before now.
func moment(flag, s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%s %q is neither a time like 2026-01-02T03:04:05Z nor a duration like 1h30m", flag, s)
}

// letter is a dead letter, without its key, value and headers.
type letter struct {
	Topic     string    `json:"topic" ch:"_topic"`
	TopicID   string    `json:"topic_id" ch:"topic_id"`
	Partition int32     `json:"partition" ch:"_partition"`
	Offset    int64     `json:"offset" ch:"_offset"`
	State     string    `json:"state" ch:"state"`
	Class     string    `json:"class" ch:"class"`
	Reason    string    `json:"reason" ch:"reason"`
	Code      int32     `json:"code,omitempty" ch:"code"`
	Message   string    `json:"message" ch:"message"`
	Batch     string    `json:"batch" ch:"batch"`
	Sent      time.Time `json:"kafka_timestamp" ch:"_kafka_timestamp"`
	At        time.Time `json:"at" ch:"_inserted_at"`
	Bytes     uint64    `json:"bytes" ch:"bytes"` // of the value
}

const letterColumns = "_topic, toString(_topic_id) AS topic_id, _partition, _offset, state, class, reason, code, message, batch, _kafka_timestamp, _inserted_at, length(value) AS bytes"

// place is how a dead letter is named on the command line.
func (l letter) place() string { return fmt.Sprintf("%s/%d/%d", l.Topic, l.Partition, l.Offset) }

// openLetters connects, and says what to do where the table is missing.
func openLetters(ctx context.Context) (driver.Conn, error) {
	conn, cfg, err := openClickHouse(ctx)
	if err != nil {
		return nil, err
	}
	var n uint64
	err = conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND name = 'dead_letters'", cfg.Database).Scan(&n)
	if err == nil && n == 0 {
		err = fmt.Errorf("database %s has no table dead_letters: check CLICKHOUSE_DATABASE, or start a worker, which creates it", cfg.Database)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// letterList are the flags of list.
type letterList struct {
	letterFilter
	limit int
	json  bool
}

func newLetterList() *cobra.Command {
	var f letterList
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, the newest first", Args: cobra.NoArgs,
		Example: "  starter deadletters list --topic ai_backlog_logs --reason missing_field --since 24h",
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f.flags(cmd.Flags(), "all")
	cmd.Flags().IntVar(&f.limit, "limit", 50, "at most so many")
	cmd.Flags().BoolVar(&f.json, "json", false, "one JSON object per line")
	return cmd
}

func (f letterList) run(ctx context.Context, out io.Writer) error {
	if f.limit < 1 {
		return errors.New("--limit must be at least 1")
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
	var letters []letter
	sql := "SELECT " + letterColumns + " FROM dead_letters WHERE " + where + " ORDER BY _inserted_at DESC, _topic, _partition, _offset LIMIT ?"
	if err := conn.Select(ctx, &letters, sql, append(args, f.limit)...); err != nil {
		return fmt.Errorf("list dead letters: %w", err)
	}
	if f.json {
		return jsonLines(out, letters)
	}
	return letterTable(out, letters)
}

// letterCount are the flags of count.
type letterCount struct {
	letterFilter
	json bool
}

// counted is how many dead letters have these in common.
type counted struct {
	Topic  string    `json:"topic" ch:"_topic"`
	Reason string    `json:"reason" ch:"reason"`
	State  string    `json:"state" ch:"state"`
	Count  uint64    `json:"count" ch:"n"`
	First  time.Time `json:"first" ch:"first"`
	Last   time.Time `json:"last" ch:"last"`
}

func newLetterCount() *cobra.Command {
	var f letterCount
	cmd := &cobra.Command{
		Use: "count", Short: "Count dead letters by topic, reason and state", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f.flags(cmd.Flags(), "all")
	cmd.Flags().BoolVar(&f.json, "json", false, "one JSON object per line")
	return cmd
}

func (f letterCount) run(ctx context.Context, out io.Writer) error {
	where, args, err := f.where(time.Now())
	if err != nil {
		return err
	}
	conn, err := openLetters(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var counts []counted
	sql := "SELECT _topic, reason, state, count() AS n, min(_inserted_at) AS first, max(_inserted_at) AS last FROM dead_letters WHERE " + where +
		" GROUP BY _topic, reason, state ORDER BY _topic, n DESC, reason, state"
	if err := conn.Select(ctx, &counts, sql, args...); err != nil {
		return fmt.Errorf("count dead letters: %w", err)
	}
	if f.json {
		return jsonLines(out, counts)
	}
	return countTable(out, counts)
}
