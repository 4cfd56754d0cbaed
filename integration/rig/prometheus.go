package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// PrometheusOptions say what a Prometheus watches.
type PrometheusOptions struct {
	Rules   []byte              // of alerts
	Targets map[string][]string // by job: host:port of programs that serve metrics
	UI      string              // directory of its built pages; "": none
	Log     io.Writer           // what takes long the first time
}

// Prometheus is a real one that asks the rig's programs, and its rules, every second.
type Prometheus struct{ *stack.Server }

// Prometheus starts one. It ends with the rig.
func (r *Rig) Prometheus(ctx context.Context, o PrometheusOptions) (*Prometheus, error) {
	bin, err := stack.Prepare(ctx, o.Log, stack.PrometheusName)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(r.dir, "prometheus")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	config := map[string]any{
		"global":     map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_native_histograms": true},
		"rule_files": []string{"rules.yml"},
	}
	var jobs []any
	for job, targets := range o.Targets {
		jobs = append(jobs, map[string]any{"job_name": job, "static_configs": []any{map[string]any{"targets": targets}}})
	}
	config["scrape_configs"] = jobs
	text, err := json.Marshal(config) // which is YAML, too
	if err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{"prometheus.yml": text, "rules.yml": o.Rules} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	s, err := stack.Prometheus(stack.PrometheusOptions{Binaries: bin, Dir: dir, Config: filepath.Join(dir, "prometheus.yml"), UI: o.UI})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.removes = append(r.removes, s.Kill)
	r.mu.Unlock()
	return &Prometheus{s}, s.Start(ctx)
}

// Reload has it take other rules, and go on.
func (p *Prometheus) Reload(ctx context.Context, rules []byte) error {
	if err := os.WriteFile(filepath.Join(p.Dir(), "rules.yml"), rules, 0o600); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.Addr()+"/-/reload", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("reload prometheus: %s", answer.Status)
	}
	return nil
}

// Series is one of an answer, with the values that are numbers.
type Series struct {
	Labels map[string]string
	Values []float64
}

// Range answers what a panel would draw: the series of an expression that have a number somewhere between the two times.
func (p *Prometheus) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]Series, error) {
	unix := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
	var data struct {
		Result []struct {
			Metric     map[string]string
			Values     [][2]any
			Histograms []any
		}
	}
	err := p.get(ctx, "query_range", url.Values{
		"query": {expr}, "start": {unix(from)}, "end": {unix(to)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', 3, 64)},
	}, &data)
	if err != nil {
		return nil, err
	}
	var all []Series
	for _, r := range data.Result {
		s := Series{Labels: r.Metric, Values: make([]float64, len(r.Histograms))}
		for _, v := range r.Values {
			text, _ := v[1].(string)
			if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(n) {
				s.Values = append(s.Values, n)
			}
		}
		if len(s.Values) > 0 {
			all = append(all, s)
		}
	}
	return all, nil
}

// Alert is one that is pending or firing.
type Alert struct {
	Labels map[string]string
	State  string
}

// Name is that of its rule.
func (a Alert) Name() string { return a.Labels["alertname"] }

// Alerts are those that are pending or firing now.
func (p *Prometheus) Alerts(ctx context.Context) ([]Alert, error) {
	var data struct{ Alerts []Alert }
	err := p.get(ctx, "alerts", nil, &data)
	return data.Alerts, err
}

// Fired are the names of the alerts that fired since then.
func (p *Prometheus) Fired(ctx context.Context, since time.Time) ([]string, error) {
	series, err := p.Range(ctx, `ALERTS{alertstate="firing"}`, since, time.Now(), time.Second)
	names := map[string]bool{}
	for _, s := range series {
		names[s.Labels["alertname"]] = true
	}
	return slices.Sorted(maps.Keys(names)), err
}

// get asks the API.
func (p *Prometheus) get(ctx context.Context, what string, args url.Values, data any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addr()+"/api/v1/"+what+"?"+args.Encode(), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	var body struct {
		Error string
		Data  json.RawMessage
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return fmt.Errorf("ask prometheus for %s %s: %w", what, args.Get("query"), err)
	}
	if body.Error != "" {
		return fmt.Errorf("ask prometheus for %s %s: %s", what, args.Get("query"), body.Error)
	}
	return json.Unmarshal(body.Data, data)
}
