//go:build unix

// Command temporal serves Temporal and its UI on loopback out of one process, with everything in one SQLite file.
//
// It ends when it is sent SIGTERM or SIGINT, or when its standard input reaches its end, that is, when its parent is gone.
// Workflows survive SIGKILL and a restart on the same file. The namespace default exists with the search attributes of
// the ingest before the port opens. It is for one machine: no TLS, no authorization, a log level that shows errors only.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/server/temporal"
)

type options struct {
	dir       string
	port      int
	uiPort    int
	internal  [4]int // frontend HTTP, history, matching, worker
	retention time.Duration
	logLevel  string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func run() error {
	o, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP)
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	store, err := openStore(o)
	if err != nil {
		return err
	}
	server, err := newServer(o, store)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	failed := startUI(o)
	select {
	case <-ends:
	case <-gone:
	case err := <-failed:
		return errors.Join(err, stop(server))
	}
	return stop(server)
}

// stop gives the services five seconds: nothing is lost when they are cut off, the file is as after a SIGKILL.
func stop(server temporal.Server) error {
	done := make(chan error, 1)
	go func() { done <- server.Stop() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("stop server: %w", err)
		}
	case <-time.After(5 * time.Second):
	}
	return nil
}

func parse(args []string) (options, error) {
	var o options
	var internal string
	flags := flag.NewFlagSet("temporal", flag.ContinueOnError)
	flags.StringVar(&o.dir, "data", "", "directory of the data; it is made if it is missing")
	flags.IntVar(&o.port, "port", 7233, "port of the frontend (gRPC)")
	flags.IntVar(&o.uiPort, "ui-port", 8233, "port of the UI; 0: no UI")
	flags.StringVar(&internal, "internal-ports", "7243,7234,7235,7239", "ports of frontend HTTP, history, matching and worker")
	flags.DurationVar(&o.retention, "retention", 7*24*time.Hour, "how long closed workflows are kept; heeded when the data is made")
	flags.StringVar(&o.logLevel, "log-level", "error", "least level that is logged")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.dir == "" {
		return o, errors.New("-data is required")
	}
	ports := strings.Split(internal, ",")
	if len(ports) != len(o.internal) {
		return o, fmt.Errorf("-internal-ports=%s: want %d ports", internal, len(o.internal))
	}
	for i, port := range ports {
		n, err := strconv.Atoi(port)
		if err != nil {
			return o, fmt.Errorf("-internal-ports=%s: %w", internal, err)
		}
		o.internal[i] = n
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return o, fmt.Errorf("data directory: %w", err)
	}
	o.dir = dir
	return o, nil
}
