//go:build unix

// Command clickhouse serves a real ClickHouse on loopback out of libchdb, without Docker and without cgo.
//
// It ends when it is sent SIGTERM or SIGINT, or when its standard input reaches its end: whoever holds the other end of
// that pipe is its parent, and it never outlives the parent. Its data survives SIGKILL. It exits 0 only after it was asked to end.
//
// It is clickhouse-local underneath: MergeTree, insert deduplication, projections, views, users, quotas and the Kafka
// engine are the real ones; there is no Keeper, no Replicated table and no queue for asynchronous inserts.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ai-backlog/ingest/devstack/clickhouse/config"
)

type options struct {
	config.Options
	lib       string
	installed string
	config    string // a file that is there already, in the place of ours
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "clickhouse:", err)
		os.Exit(1)
	}
}

func run() error {
	o, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	file := o.config
	if file == "" {
		if file, err = config.Write(o.Options); err != nil {
			return err
		}
	}
	if o.installed != "" {
		return become(o.installed, file)
	}
	return serve(o.lib, file)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("clickhouse", flag.ContinueOnError)
	flags.StringVar(&o.lib, "lib", "", "path of libchdb.so")
	flags.StringVar(&o.Dir, "data", "", "directory of the data; it is made if it is missing")
	flags.IntVar(&o.Port, "port", 9000, "port of the native protocol")
	flags.IntVar(&o.HTTPPort, "http-port", 8123, "port of the HTTP interface")
	flags.Uint64Var(&o.Memory, "memory", config.DefaultMemory, "bytes the server may use before queries are refused")
	flags.StringVar(&o.installed, "installed", "", "path of a clickhouse program to become, in place of the library")
	flags.StringVar(&o.config, "config", "", "path of a config.xml that says all this, in place of -data and what goes with it")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if (o.Dir == "") == (o.config == "") || (o.lib == "") == (o.installed == "") {
		return o, errors.New("-data or -config, and either -lib or -installed, are required")
	}
	if o.config != "" {
		return o, nil
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, fmt.Errorf("data directory: %w", err)
	}
	return o, nil
}

// become turns this process into an installed ClickHouse server: same PID, same configuration, same data. On Linux it still
// ends with its parent; elsewhere it does not notice a parent that was killed.
func become(program, config string) error {
	env := append(os.Environ(), "CLICKHOUSE_WATCHDOG_ENABLE=0")                                                     // its watchdog would be the child we know, and not the server
	if err := syscall.Exec(program, []string{"clickhouse", "server", "--config-file=" + config}, env); err != nil { //nolint:gosec // what the user asked for
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}
