// Command images builds the images that the tests run in containers where no registry of images is reached: the same servers as
// devstack's, out of the same packages, with the environment and arguments of the official images. It prints the variables that
// name them. With the argument ask it says whether tests in containers can run here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/ai-backlog/ingest/integration/container"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	defer func() { _ = container.Clean() }()
	switch {
	case len(args) == 0:
		return build(ctx, out, log)
	case len(args) == 1 && args[0] == "ask":
		return ask(ctx, out, log)
	default:
		return fmt.Errorf("want no argument, or ask, got %q", args)
	}
}

// required says by variable that a machine without Docker is a mistake, as in CI.
const required = "INTEGRATION_CONTAINERS"

// ask prints yes when there is a Docker and it has the images. Without a Docker it is nil all the same, and says so in one line, unless
// the environment requires one.
func ask(ctx context.Context, out, log io.Writer) error {
	want := os.Getenv(required)
	if want != "" && want != "required" {
		return fmt.Errorf("%s=%s: want required, or leave it unset", required, want)
	}
	d, err := container.Connect(ctx)
	switch {
	case errors.Is(err, container.ErrNoDocker) && want == "":
		_, err = fmt.Fprintf(log, "%s; skipped\n", err)
		return err
	case errors.Is(err, container.ErrNoDocker):
		return fmt.Errorf("%s=%s, but there is %w", required, want, err)
	case err != nil:
		return err
	}
	if err := d.Pull(ctx, log); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "yes")
	return err
}
