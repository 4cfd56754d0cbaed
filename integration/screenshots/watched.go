package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/rig"
)

const (
	// faster is by how much the alerts' times are divided, so that two minutes are as 24.
	faster   = 12
	outage   = 2 * time.Minute
	quiet    = 45 * time.Second // before it
	perAgent = "2000"           // records a second
)

// should are the alerts that an outage of ClickHouse has to fire, and no others.
var should = []string{"IngestNotFlowing", "IngestOldBatch", "IngestStale"}

// graphs are the expressions of the picture of the flow.
var graphs = []string{
	`label_replace(sum(deriv(ingest_log_end_offset[15s])), "offsets", "produced", "", "") or label_replace(sum(deriv(ingest_low_watermark_offset[15s])), "offsets", "ended", "", "")`,
	`max by (topic) (ingest_lag_seconds)`,
}

// watched takes pictures of Prometheus's own pages, of a stack under load from which ClickHouse is taken for two minutes, and fails if
// other alerts fired than should have.
func watched(ctx context.Context, dir, out string) error {
	ui, err := stack.PrometheusUI(ctx, os.Stderr)
	if err != nil {
		return err
	}
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, Env: []string{rig.MetricsAnywhere}})
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := watch(ctx, r, ui)
	if err != nil {
		return err
	}
	browser, end, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer end()
	began := time.Now()
	if err := after(ctx, quiet); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ClickHouse is killed")
	if err := r.ClickHouse.Kill(); err != nil {
		return err
	}
	back := time.Now().Add(outage)
	if err := r.Until(ctx, "wait for the alerts", func(ctx context.Context) (bool, string) {
		names, err := p.Fired(ctx, began)
		return slices.Equal(names, should) || time.Now().After(back), fmt.Sprint(names, err)
	}); err != nil {
		return err
	}
	const shows = "document.body.innerText.toLowerCase().includes('firing')"
	if err := take(browser, "http://"+p.Addr()+"/alerts?state=firing", shows, width, 490, filepath.Join(out, "alerts.png")); err != nil {
		return err
	}
	if err := after(ctx, time.Until(back)); err != nil {
		return err
	}
	if err := r.ClickHouse.Start(ctx); err != nil {
		return err
	}
	if err := ends(ctx, r, p); err != nil {
		return err
	}
	names, err := p.Fired(ctx, began)
	if err != nil {
		return err
	}
	if !slices.Equal(names, should) {
		return fmt.Errorf("these alerts fired: %v, and these should have: %v", names, should)
	}
	fmt.Fprintln(os.Stderr, "fired, and ended:", names)
	return take(browser, page(p.Addr(), time.Since(began)+20*time.Second), "document.querySelectorAll('canvas').length >= 2", width, 1880, filepath.Join(out, "outage.png"))
}

// watch starts the programs, and a Prometheus that asks them.
func watch(ctx context.Context, r *rig.Rig, ui string) (*rig.Prometheus, error) {
	port, _, err := stack.ReservePort()
	if err != nil {
		return nil, err
	}
	agent := fmt.Sprintf("127.0.0.1:%d", port)
	worker, e1 := r.Worker()
	consumer, e2 := r.Consumer()
	_, e3 := r.Launch("agent", nil, "-rate", perAgent, "-metrics", agent)
	rules, e4 := os.ReadFile(filepath.Join("..", "deploy", "prometheus", "alerts.yml"))
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		return nil, err
	}
	rules, err = rig.Shortened(rules, map[string]int{"ingest": faster, "ingest-audits": faster})
	if err != nil {
		return nil, err
	}
	err = r.Until(ctx, "wait until records are stored", func(ctx context.Context) (bool, string) {
		m, err := consumer.Metrics(ctx)
		return err == nil && worker.MetricsAddr() != "" && m.Sum("ingest_planner") == 3 && m.Sum("ingest_completed_offsets_total") > 0, fmt.Sprint(err)
	})
	if err != nil {
		return nil, err
	}
	return r.Prometheus(ctx, rig.PrometheusOptions{Rules: rules, UI: ui, Log: os.Stderr, Targets: map[string][]string{
		"ingest-worker": {worker.MetricsAddr()}, "ingest-consumer": {consumer.MetricsAddr()}, "ingest-client": {agent},
	}})
}

// ends waits until no alert fires any more, and what waited is stored.
func ends(ctx context.Context, r *rig.Rig, p *rig.Prometheus) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return r.Until(ctx, "wait until the alerts end", func(ctx context.Context) (bool, string) {
		all, err := p.Alerts(ctx)
		firing := slices.DeleteFunc(all, func(a rig.Alert) bool { return a.State != "firing" })
		return err == nil && len(firing) == 0, fmt.Sprint(firing, err)
	})
}

// page has all graphs of so much time.
func page(addr string, of time.Duration) string {
	v := url.Values{}
	for i, g := range graphs {
		at := fmt.Sprintf("g%d.", i)
		v.Set(at+"expr", g)
		v.Set(at+"tab", "graph")
		v.Set(at+"display_mode", "lines")
		v.Set(at+"res_type", "fixed")
		v.Set(at+"res_step", "1")
		v.Set(at+"range_input", fmt.Sprintf("%ds", int(of.Seconds())))
	}
	return "http://" + addr + "/query?" + v.Encode()
}

// after waits.
func after(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
