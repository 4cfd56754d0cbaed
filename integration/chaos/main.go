// Command chaos is the fault matrix: while records are sent it does one fault after the other to the pipeline, each alone and then
// all mixed at random, and counts after each what became of every record. It ends with an audit, and prints a table. Its settings are
// in docs/reliability.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ai-backlog/ingest/integration/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer rig.Clean()
	cfg, err := read()
	if err == nil {
		err = run(ctx, cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		rig.Clean()
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}
