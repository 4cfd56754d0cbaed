// Command agent stores logs, metrics and events through package client at a
// steady rate, for tests that kill servers, and it, meanwhile. It finds the
// servers in the environment, as every program does.
//
// Its records are numbered from 1, and each call is made until its record is
// accepted, so that those it had accepted are 1 to the number it prints. The
// event_id has both numbers and nothing else, so that a test can count by it: a
// UUID of version 8, the agent's number in its first four bytes and the record's
// in its last six, as in 0000000a-0000-8000-8000-00000000002a.
//
// After each flush it prints a line of JSON, a Report; and one at its end, after
// SIGTERM.
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
	var o options
	flag.UintVar(&o.agent, "agent", 1, "number of the agent")
	flag.StringVar(&o.metrics, "metrics", "off", "address of the client's metrics, or off")
	flag.Float64Var(&o.rate, "rate", 1000, "records a second; 0: as fast as they are accepted")
	flag.DurationVar(&o.every, "flush", time.Second, "from the end of a flush to the next")
	flag.DurationVar(&o.patience, "patience", 5*time.Second, "for how long a flush waits")
	flag.DurationVar(&o.deadline, "deadline", 2*time.Minute, "for how long the client may take to close: an insert may be at work for 75 s after its server was killed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}
