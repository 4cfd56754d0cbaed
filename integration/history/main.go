// Command history runs batches on a good path, with dead letters and through an
// outage, and leaves their workflow histories in a directory, for the replay
// test of workflows. Run it from the commit that is released, never from the
// branch that changes the workflow.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/integration/load"
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
	var sent rig.Sent
	for _, scene := range []struct {
		name string
		mix  load.Mix
		away time.Duration
	}{{"good", load.Mix{}, 0}, {"dead_letters", load.Mix{Broken: 0.05}, 0}, {"outage", load.Mix{Broken: 0.05}, 8 * time.Second}} {
		if err := play(ctx, r, &sent, scene.mix, scene.away); err != nil {
			return err
		}
		if err := dump(ctx, c, filepath.Join(out, scene.name+".json")); err != nil {
			return err
		}
	}
	return nil
}

// play sends some records, with ClickHouse away for a while, and waits until
// all are stored.
func play(ctx context.Context, r *rig.Rig, sent *rig.Sent, mix load.Mix, away time.Duration) error {
	if away > 0 {
		if err := r.ClickHouse.Kill(); err != nil {
			return err
		}
	}
	if err := r.Produce(ctx, load.New(1, mix), 1000, sent, nil); err != nil {
		return err
	}
	if away > 0 {
		t := time.NewTimer(away)
		defer t.Stop()
		<-t.C
		if err := r.ClickHouse.Start(ctx); err != nil {
			return err
		}
	}
	if err := r.Drain(ctx, sent); err != nil {
		return err
	}
	return r.Settled(ctx)
}

// dump writes the history of the newest batch.
func dump(ctx context.Context, c client.Client, file string) error {
	l, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", PageSize: 1, Query: `WorkflowType = "Ingest"`})
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
