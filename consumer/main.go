// Command consumer plans: it cuts what arrived in Kafka into batches and starts
// one workflow per batch. It plans by offsets, never by records. Several consumers
// stand by for each other.
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
		fmt.Print(settings.VersionLine("consumer"))
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
		fmt.Fprintln(os.Stderr, "consumer:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}
