// Command demo shows the promise on this machine: it sends a million records of
// AI agents, kills ClickHouse in the middle, and counts what became of each.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	o := options{log: os.Stderr}
	flag.IntVar(&o.records, "records", 1_000_000, "records to send")
	flag.DurationVar(&o.outage, "outage", 15*time.Second, "how long ClickHouse is away")
	flag.DurationVar(&o.limit, "limit", 20*time.Minute, "give up after")
	flag.BoolVar(&o.keep, "keep", false, "leave everything running until ctrl-C, to look at it in the UI")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}
