//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// graceful is how long the command has to end by itself when devstack is told to stop.
const graceful = 30 * time.Second

type execConfig struct {
	only    []string
	data    string // empty: a temporary directory, removed at the end
	command []string
}

func parseExec(args []string, log io.Writer) (execConfig, error) {
	var c execConfig
	var only string
	flags := flag.NewFlagSet("devstack exec", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&only, "only", "", "servers to start, of "+strings.Join(stack.Names(), ",")+" (default all); "+stack.ApacheKafkaName+" is Apache Kafka in the place of the stand-in (as with INTEGRATION_KAFKA=apache)")
	flags.StringVar(&c.data, "data", "", "keep data and logs in this directory (default a temporary one)")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	kafka, err := stack.ChosenKafka()
	if err != nil {
		return c, err
	}
	c.only = []string{kafka, stack.ClickHouseName, stack.TemporalName}
	if only != "" {
		c.only = strings.Split(only, ",")
	}
	if c.command = flags.Args(); len(c.command) == 0 {
		return c, errors.New("exec: no command: want devstack exec -- cmd args")
	}
	return c, nil
}

// execute runs the command against servers of its own, whatever else is configured, and stops them when it has ended. The
// error is the command's *exec.ExitError if it failed.
func execute(ctx context.Context, args []string, out, log io.Writer) (err error) {
	c, err := parseExec(args, log)
	if err != nil {
		return err
	}
	binaries, err := stack.Prepare(ctx, log, c.only...)
	if err != nil {
		return err
	}
	if c.data == "" {
		temporary, err := os.MkdirTemp("", "devstack-")
		if err != nil {
			return fmt.Errorf("make temporary directory: %w", err)
		}
		defer func() { _ = os.RemoveAll(temporary) }()
		c.data = temporary
	}
	servers, err := stack.New(binaries, c.data, c.only...)
	if err != nil {
		return err
	}
	if err := servers.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Stop()) }()
	return command(ctx, c.command, servers.Env(), out, log)
}

// command passes a stop on to the command as SIGTERM, so that it can tidy up while its servers are still there.
func command(ctx context.Context, args, env []string, out, log io.Writer) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // what the user asked for
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = graceful
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return err
}

// exitCode is the command's, or 128 and the signal that ended it, as a shell has it.
func exitCode(exit *exec.ExitError) int {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
