//go:build unix

// Command devstack runs everything the ingest needs on one machine, without Docker: a stand-in for Kafka, a real ClickHouse, and a
// real Temporal with its UI.
//
//	devstack up                    start what is not configured, on the usual ports, until ctrl-C
//	devstack exec -- cmd args...   run a command against a throw-away stack, and answer its exit code
//	devstack prepare               download and build everything now, or what -only names
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

const usage = `usage:
  devstack up [flags]                   start what is not configured, on the usual ports, until ctrl-C
  devstack exec [flags] -- cmd args...  run a command against a throw-away stack, and answer its exit code
  devstack prepare [flags]              download and build everything now
"devstack up -h", "devstack exec -h" and "devstack prepare -h" show the flags.
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run answers the exit code: that of the command for exec, else 0, 1 for a failure, 2 for a mistake in the arguments.
func run(args []string, out, log io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, stop = untilOrphaned(ctx)
	defer stop()
	verbs := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"up": up, "exec": execute, "prepare": prepare,
	}
	if len(args) == 0 || verbs[args[0]] == nil {
		_, _ = fmt.Fprint(log, usage)
		return 2
	}
	err := verbs[args[0]](ctx, args[1:], out, log)
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &exit):
		return exitCode(exit)
	}
	_, _ = fmt.Fprintln(log, "devstack:", err)
	return 1
}
