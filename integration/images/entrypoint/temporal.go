package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// temporal takes the arguments of start-dev, and runs devstack's server, which has the search attributes of the ingest, and the
// dynamic configuration that it needs, without being told.
func temporal(args []string) error {
	if len(args) < 2 || args[0] != "server" || args[1] != "start-dev" {
		return errors.New("want server start-dev")
	}
	flags := flag.NewFlagSet("start-dev", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	ip := flags.String("ip", "127.0.0.1", "")
	port := flags.Int("port", 7233, "")
	ui := flags.Int("ui-port", 8233, "")
	headless := flags.Bool("headless", false, "")
	file := flags.String("db-filename", "", "")
	level := flags.String("log-level", "error", "")
	told := func(string) error { return nil }
	flags.Func("search-attribute", "", told)
	flags.Func("dynamic-config-value", "", told)
	if err := flags.Parse(args[2:]); err != nil {
		return err
	}
	if *ip != "127.0.0.1" || *file == "" {
		return errors.New("want --ip 127.0.0.1 and --db-filename")
	}
	if *headless {
		*ui = 0
	}
	internal, err := freePorts(4)
	if err != nil {
		return err
	}
	if err := holdStdin(); err != nil {
		return err
	}
	return become("/usr/bin/temporal-server", "-data", filepath.Dir(*file), "-port", strconv.Itoa(*port), "-ui-port", strconv.Itoa(*ui),
		"-internal-ports", strings.Join(internal, ","), "-log-level", *level)
}

// freePorts are for the services behind the frontend, as start-dev chooses them: any that are free.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback does not wait
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // only now: so that no two are the same
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}
