//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ai-backlog/ingest/devstack/stack"
)

func prepare(ctx context.Context, args []string, out, log io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("prepare takes no arguments, got %q", args)
	}
	started := time.Now()
	b, err := stack.Prepare(ctx, log)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "kafka       %s\nclickhouse  %s\nlibchdb     %s\ntemporal    %s\nready after %s\n",
		b.Kafka, b.ClickHouse, b.LibCHDB, b.Temporal, time.Since(started).Round(10*time.Millisecond))
	return err
}
