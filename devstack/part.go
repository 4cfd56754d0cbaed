//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// part is one of the three servers: configured, found running, or to be started.
type part struct {
	name        string // as in package stack
	title       string
	portFlag    string
	variable    string // of the environment, that configures it
	configured  string // the address it has; empty: not configured
	port        int
	second      int // HTTP or UI; 0: there is none
	secondTitle string
	installed   bool
	ask         func(ctx context.Context, first, second string) error

	how string // configured, running, started; empty: to be started
}

func askKafka(ctx context.Context, broker, _ string) error { return stack.AskKafka(ctx, broker) }

// program is the installed program to run instead of ours, or empty.
func (p *part) program() string {
	if !p.installed || p.name == stack.KafkaName {
		return ""
	}
	path, err := exec.LookPath(p.name)
	if err != nil {
		return ""
	}
	return path
}

// find settles whether the part must be started. It is an error if something else has one of its ports.
func (p *part) find(ctx context.Context, log io.Writer) error {
	if p.configured != "" {
		p.how = "configured by " + p.variable
		if !p.listens(ctx, strings.Split(p.configured, ",")[0]) {
			say(log, "%s is configured as %s, where nothing listens now", p.title, p.configured)
		}
		return nil
	}
	taken := ""
	for _, port := range []int{p.port, p.second} {
		if port != 0 && p.listens(ctx, local(port)) {
			taken = strconv.Itoa(port)
		}
	}
	if taken == "" {
		return nil
	}
	if p.ask(ctx, local(p.port), p.secondAddr()) == nil {
		p.how = "was running"
		say(log, "a running %s is there on port %d: it is used", p.title, p.port)
		return nil
	}
	return fmt.Errorf("port %s is taken, and not by a working %s: stop what has it, or choose another with %s", taken, p.title, p.portFlag)
}

func (p *part) listens(ctx context.Context, addr string) bool {
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (p *part) addr() string {
	if p.configured != "" {
		return p.configured
	}
	return local(p.port)
}

// secondAddr is empty if there is none, or none that we know of.
func (p *part) secondAddr() string {
	if p.configured != "" || p.second == 0 {
		return ""
	}
	return local(p.second)
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// hostPort is host itself if it names a port.
func hostPort(host, port, fallback string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	if port == "" {
		port = fallback
	}
	return net.JoinHostPort(host, port)
}
