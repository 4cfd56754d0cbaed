//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// up starts what is neither configured nor running already, shows where everything is, and stops what it started when the
// context is done. It restarts nothing: a server that ends by itself is reported, and the others go on.
func up(ctx context.Context, args []string, out, log io.Writer) (err error) {
	c, err := parseUp(args, log)
	if err != nil {
		return err
	}
	parts := c.parts()
	var missing []*part
	for _, p := range parts {
		if err := p.find(ctx, log); err != nil {
			return err
		}
		if p.how == "" {
			missing = append(missing, p)
		}
	}
	servers, err := c.start(ctx, log, missing)
	defer func() { err = errors.Join(err, stopAll(servers)) }()
	if err != nil {
		return err
	}
	if err := show(out, parts, c.json); err != nil {
		return err
	}
	if len(servers) == 0 {
		say(log, "nothing to start, so nothing to stop")
		return nil
	}
	say(log, "data and logs are in %s; ctrl-C stops what was started", c.data)
	watch(ctx, log, servers)
	return nil
}

// start prepares and starts the missing parts, all at once. It answers those that it started also if one failed.
func (c upConfig) start(ctx context.Context, log io.Writer, missing []*part) ([]*stack.Server, error) {
	if len(missing) == 0 {
		return nil, nil
	}
	var needs []string
	for _, p := range missing {
		if p.program() == "" {
			needs = append(needs, p.name)
		} else if p.name == stack.ClickHouseName {
			needs = append(needs, stack.LauncherName)
		}
	}
	var binaries stack.Binaries
	var err error
	if len(needs) > 0 {
		if binaries, err = stack.Prepare(ctx, log, needs...); err != nil {
			return nil, err
		}
	}
	servers := make([]*stack.Server, len(missing))
	for i, p := range missing {
		if servers[i], err = c.server(binaries, p); err != nil {
			return nil, err
		}
	}
	failed := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { failed[i] = s.Start(ctx) })
	}
	wg.Wait()
	for _, p := range missing {
		p.how = "started"
		if program := p.program(); program != "" {
			p.how = "started " + program
		}
	}
	return servers, errors.Join(failed...)
}

func (c upConfig) server(b stack.Binaries, p *part) (*stack.Server, error) {
	dir := filepath.Join(c.data, p.name)
	switch p.name {
	case stack.KafkaName:
		return stack.Kafka(stack.KafkaOptions{Binaries: b, Dir: dir, Port: p.port})
	case stack.ClickHouseName:
		return stack.ClickHouse(stack.ClickHouseOptions{
			Binaries: b, Dir: dir, Port: p.port, HTTPPort: p.second, Installed: p.program(),
		})
	default:
		return stack.Temporal(stack.TemporalOptions{
			Binaries: b, Dir: dir, Port: p.port, UIPort: p.second, Installed: p.program(),
		})
	}
}

// watch returns when the context is done or no server is left.
func watch(ctx context.Context, log io.Writer, servers []*stack.Server) {
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() {
			select {
			case <-ctx.Done():
			case <-s.Exited():
				say(log, "%s ended by itself; its log is %s", s.Name(), s.Log())
			}
		})
	}
	wg.Wait()
}

// stopAll stops in the order in which data flows backwards: who uses a server goes before it.
func stopAll(servers []*stack.Server) error {
	var err error
	for _, s := range slices.Backward(servers) {
		err = errors.Join(err, s.Stop())
	}
	return err
}

func say(log io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(log, "devstack: "+format+"\n", args...)
}
