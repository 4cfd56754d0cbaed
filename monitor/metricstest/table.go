// Package metricstest holds the table of docs/metrics.md against the metrics that a program registers, and these against
// Prometheus' rules for names.
package metricstest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the table of docs/metrics.md anew")

// Ours is what the names of this project's metrics begin with. Those of libraries are as they are.
const Ours = "ingest_"

// Check registers all metrics of a program, or some by name's prefix, and requires that
//   - each has a help, and a name that follows Prometheus' rules and says its unit;
//   - every counter of ours starts at 0, so that its first step is seen;
//   - the section of docs/metrics.md lists them all as they are, and nothing else.
//
// off are names that a library registers and never serves.
func Check(t *testing.T, section, prefix string, register func(prometheus.Registerer), off ...string) {
	t.Helper()
	c := &catalogue{Registry: prometheus.NewPedanticRegistry(), rows: map[string]row{}}
	register(c)
	families, err := c.Gather()
	require.NoError(t, err)
	series := map[string]*dto.MetricFamily{}
	for _, f := range families {
		series[f.GetName()] = f
	}
	for _, name := range off {
		require.NotContains(t, series, name, "it is served: the table has to have it")
	}
	table := "| metric | type | labels | unit | says |\n|---|---|---|---|---|\n"
	for _, r := range c.sorted(prefix, off) {
		if strings.HasPrefix(r.name, Ours) {
			require.Empty(t, r.problems(t), r.name)
			require.NotEmpty(t, r.unit(), "%s does not say its unit", r.name)
			require.False(t, r.kind == dto.MetricType_COUNTER && series[r.name] == nil, "%s does not start at 0", r.name)
		}
		table += r.line(series[r.name])
	}
	document(t, section, table)
}

// document requires the section's table, or writes it.
func document(t *testing.T, section, table string) {
	t.Helper()
	path := "docs/metrics.md"
	for range 4 {
		if _, err := os.Stat(path); err == nil {
			break
		}
		path = filepath.Join("..", path)
	}
	text, err := os.ReadFile(path) //nolint:gosec // of this repository
	require.NoError(t, err)
	begin, end := "<!-- "+section+": written by make metrics -->\n", "<!-- end -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "docs/metrics.md has no line %q", begin)
	was, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "section %s of docs/metrics.md has no line %q", section, end)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(before+begin+table+end+after), 0o600)) //nolint:gosec // of this repository
		return
	}
	require.Equal(t, table, was, "docs/metrics.md is not what is registered: run make metrics")
}

// catalogue is a registry that knows what was registered, whether there is a series of it or not.
type catalogue struct {
	*prometheus.Registry
	rows map[string]row
}

func (c *catalogue) Register(of prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() {
		of.Describe(descs)
		close(descs)
	}()
	for d := range descs {
		r := parse(d.String())
		r.kind = kind(of, r.name)
		c.rows[r.name] = r
	}
	return c.Registry.Register(of)
}

func (c *catalogue) MustRegister(of ...prometheus.Collector) {
	for _, x := range of {
		if err := c.Register(x); err != nil {
			panic(err) //nolint:forbidigo // as a registry does
		}
	}
}

func (c *catalogue) sorted(prefix string, off []string) (rows []row) {
	for _, r := range c.rows {
		if strings.HasPrefix(r.name, prefix) && !slices.Contains(off, r.name) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return rows
}

// kind is that of the collector, or, of one that makes its metrics when it is asked, what the name says: those are counters and
// gauges only.
func kind(of prometheus.Collector, name string) dto.MetricType {
	switch x := of.(type) {
	case *prometheus.CounterVec:
		return dto.MetricType_COUNTER
	case *prometheus.HistogramVec:
		return dto.MetricType_HISTOGRAM
	case *prometheus.SummaryVec:
		return dto.MetricType_SUMMARY
	case *prometheus.GaugeVec:
		return dto.MetricType_GAUGE
	case prometheus.Metric:
		var d dto.Metric
		_ = x.Write(&d) // none fails
		switch {
		case d.GetCounter() != nil:
			return dto.MetricType_COUNTER
		case d.GetHistogram() != nil:
			return dto.MetricType_HISTOGRAM
		}
		return dto.MetricType_GAUGE
	}
	if strings.HasSuffix(name, "_total") {
		return dto.MetricType_COUNTER
	}
	return dto.MetricType_GAUGE
}

// problems are what Prometheus' own rules say.
func (r row) problems(t *testing.T) (texts []string) {
	t.Helper()
	f := &dto.MetricFamily{Name: &r.name, Help: &r.help, Type: &r.kind, Metric: []*dto.Metric{{}}}
	for _, l := range r.labels {
		f.Metric[0].Label = append(f.Metric[0].Label, &dto.LabelPair{Name: &l, Value: &l})
	}
	ps, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{f}).Lint()
	require.NoError(t, err)
	for _, p := range ps {
		if strings.Contains(p.Text, `"quantile" label`) { // a percentile that a server has computed is a gauge
			continue
		}
		texts = append(texts, fmt.Sprintf("%s: %s", p.Metric, p.Text))
	}
	return texts
}
