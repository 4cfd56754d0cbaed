package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// listTimeout bounds what Temporal may take to answer: visibility on SQL with
// a full retention takes seconds.
const listTimeout = 15 * time.Second

// batchesFlags are the flags of batches.
type batchesFlags struct {
	json                bool
	state, topic, error string
	limit               int
	group               string // no flag: status counts those of one
}

func newBatches() *cobra.Command {
	var f batchesFlags
	cmd := &cobra.Command{
		Use:   "batches",
		Short: "List unfinished and recent batches",
		Long: "Lists the batches that Temporal knows of: all unfinished ones first, then the newest of the others.\n\n" +
			"States: running, waiting (for ClickHouse or Kafka to come back), blocked (an operator must mend something), held (asks for a\n" +
			"decision), isolating (searches for bad records), stored; and terminated, canceled, failed: these come back by themselves.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "one JSON object per line")
	flags.StringVar(&f.state, "state", "", "only batches in this state")
	flags.StringVar(&f.topic, "topic", "", "only batches of this topic")
	flags.StringVar(&f.error, "error", "", "only batches whose trouble, now or before, has this name, as in the column ERROR: like UNKNOWN_TABLE")
	flags.IntVar(&f.limit, "limit", 50, "at most so many")
	return cmd
}

func (f batchesFlags) run(ctx context.Context, out io.Writer) error {
	if f.limit < 1 {
		return errors.New("--limit must be at least 1")
	}
	queries, err := f.queries()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	c, err := dialTemporal(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	rows, err := list(ctx, c, queries, f.limit)
	if err != nil {
		return fmt.Errorf("list batches at %s: %w", c, err)
	}
	if f.json {
		return jsonLines(out, rows)
	}
	return writeTable(out, rows, time.Now())
}
