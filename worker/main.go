// Command worker runs the workflows and activities that bring batches from
// Kafka into ClickHouse. Any number of workers share the load.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ai-backlog/ingest/settings"
)

func main() {
	if settings.AsksVersion(os.Args[1:]) {
		fmt.Print(settings.VersionLine("worker"))
		return
	}
	cfg, err := load(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}
