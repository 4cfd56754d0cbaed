// Command history runs batches and operators' workflows through every kind of
// course, and leaves their histories in a directory, for the replay test of
// workflows. Run it from the commit that is released, never from the branch that
// changes a workflow. It takes about five minutes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/integration/rig"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: history DIRECTORY")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "history:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}

func run(ctx context.Context, out string) error {
	dir, err := os.MkdirTemp("", "ai-backlog-history-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer rig.Clean()
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, Env: []string{"BATCH_RECORDS=2000", "BATCH_LINGER=200ms"}})
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.Worker(); err != nil {
		return err
	}
	if _, err := r.Consumer(); err != nil {
		return err
	}
	c, err := client.DialContext(ctx, client.Options{HostPort: r.Temporal.Addr()})
	if err != nil {
		return err
	}
	defer c.Close()
	h := &recorder{Rig: r, c: c, out: out}
	for _, scene := range scenes {
		fmt.Fprintln(os.Stderr, scene.name)
		if err := h.play(ctx, scene); err != nil {
			return fmt.Errorf("%s: %w", scene.name, err)
		}
	}
	return nil
}

// recorder plays scenes.
type recorder struct {
	*rig.Rig
	c    client.Client
	out  string
	sent rig.Sent
}

// dump writes the history of the newest workflow of the type.
func dump(ctx context.Context, c client.Client, kind, file string) error {
	l, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", PageSize: 1, Query: `WorkflowType = "` + kind + `"`})
	if err != nil {
		return err
	}
	e := l.GetExecutions()[0].GetExecution()
	var h historypb.History
	for it := c.GetWorkflowHistory(ctx, e.GetWorkflowId(), e.GetRunId(), false, 0); it.HasNext(); {
		event, err := it.Next()
		if err != nil {
			return err
		}
		h.Events = append(h.Events, event)
	}
	b, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&h)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	fmt.Println(file, len(h.Events), "events")
	return os.WriteFile(file, b, 0o600)
}
