//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ai-backlog/ingest/devstack/stack"
)

func prepare(ctx context.Context, args []string, out, log io.Writer) error {
	var only string
	flags := flag.NewFlagSet("devstack prepare", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&only, "only", "", "what to prepare, of "+strings.Join(append(stack.Names(), stack.ApacheKafkaName, stack.PrometheusName), ",")+" (default "+strings.Join(stack.Names(), ",")+")")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("prepare takes flags only, got %q", flags.Args())
	}
	var names []string
	if only != "" {
		names = strings.Split(only, ",")
	}
	started := time.Now()
	b, err := stack.Prepare(ctx, log, names...)
	if err != nil {
		return err
	}
	for _, p := range []struct{ name, path string }{
		{"kafka", b.Kafka}, {"clickhouse", b.ClickHouse}, {"libchdb", b.LibCHDB}, {"temporal", b.Temporal},
		{"java", b.Java}, {"prometheus", b.Prometheus}, {"promtool", b.Promtool},
	} {
		if p.path != "" {
			_, _ = fmt.Fprintf(out, "%-11s %s\n", p.name, p.path)
		}
	}
	_, err = fmt.Fprintf(out, "ready after %s\n", time.Since(started).Round(10*time.Millisecond))
	return err
}
