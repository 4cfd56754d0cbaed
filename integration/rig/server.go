package rig

import (
	"context"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// Server is one of the rig's servers, wherever it runs. Its address and its data are the same through any number of kills.
type Server interface {
	Name() string     // kafka, clickhouse or temporal
	Addr() string     // host:port on loopback of the broker, of ClickHouse's native protocol, or of Temporal's frontend
	HTTPAddr() string // of ClickHouse's HTTP interface or Temporal's UI; empty where there is none
	PID() int         // of its process, or 0 while it does not run

	Start(ctx context.Context) error // returns when it answers
	Kill() error                     // by SIGKILL; returns when it is gone
	Freeze() error                   // connections stay open, and nothing is answered
	Thaw() error
	Died() error // nil unless it ended though nobody asked it to
}

var _ Server = (*stack.Server)(nil)
