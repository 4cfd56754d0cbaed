package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ask is one query of a panel, by the name of its dashboard, its title, and its letter; or one selector of an alert.
type ask struct{ name, expr string }

// variables are what a reader has not chosen, and a window of scrapes every second.
var variables = strings.NewReplacer("$topic", ".+", "$instance", ".+", "$__rate_interval", "8s")

type dashboardPanel struct {
	Title       string
	Targets     []struct{ Expr, RefID string }
	FieldConfig struct {
		Defaults struct{ Links []struct{ URL string } }
	}
}

// panels are those of all dashboards, by dashboard.
func panels(t *testing.T) map[string][]dashboardPanel {
	t.Helper()
	all := map[string][]dashboardPanel{}
	paths, err := filepath.Glob("../deploy/grafana/dashboards/*.json")
	require.NoError(t, err)
	require.Len(t, paths, 4)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var d struct{ Panels []dashboardPanel }
		require.NoError(t, json.Unmarshal(text, &d))
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = d.Panels
	}
	return all
}

// asks are the queries of all panels.
func asks(t *testing.T) (all []ask) {
	t.Helper()
	for dashboard, panels := range panels(t) {
		for _, p := range panels {
			for _, q := range p.Targets {
				all = append(all, ask{dashboard + "/" + p.Title + "/" + q.RefID, variables.Replace(q.Expr)})
			}
		}
	}
	require.Greater(t, len(all), 80)
	return all
}

var selector = regexp.MustCompile(`\b((?:ingest_[a-z_]+)|up)\b(\{[^}]*\})?`)

// selectors are what the alerts look at: an alert whose series nobody serves never fires.
func selectors(t *testing.T, rules []byte) (all []ask) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range selector.FindAllString(exprs(string(rules)), -1) {
		if !seen[m] {
			seen[m] = true
			all = append(all, ask{"alerts/" + m, m})
		}
	}
	require.Greater(t, len(all), 15)
	return all
}

// exprs are the expressions of rules as they were written, with comments and annotations left out.
func exprs(rules string) string {
	var out strings.Builder
	for _, m := range regexp.MustCompile(`(?s)\n +(?:- )?expr:(.*?)\n +(?:- )?(?:for|labels|alert|annotations):`).FindAllStringSubmatch(rules, -1) {
		out.WriteString(m[1] + "\n")
	}
	return out.String()
}

// answers waits until every question has an answer with a number in it between the time and now, but for those that may have none.
func (w *watch) answers(all []ask, from time.Time, mayHaveNone map[string]string) {
	w.t.Helper()
	for name := range mayHaveNone {
		require.True(w.t, is(all, name), "%s is excused, and is not there", name)
	}
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	open := slices.DeleteFunc(slices.Clone(all), func(a ask) bool { return mayHaveNone[a.name] != "" })
	err := w.Until(ctx, "wait for data", func(ctx context.Context) (bool, string) {
		var failed error
		open = slices.DeleteFunc(open, func(a ask) bool {
			series, err := w.p.Range(ctx, a.expr, from, time.Now(), time.Second)
			if failed == nil {
				failed = err
			}
			return len(series) > 0
		})
		return len(open) == 0 && failed == nil, fmt.Sprint(failed)
	})
	require.NoError(w.t, err, "no data: %q", open)
}

func is(all []ask, name string) bool {
	for _, a := range all {
		if a.name == name {
			return true
		}
	}
	return false
}

// lists are the queries of the links into Temporal's UI, for a topic and a state.
func lists(t *testing.T, topic, state string) (all []string) {
	t.Helper()
	fill := strings.NewReplacer("${__field.labels.topic}", topic, "${__data.fields.topic}", topic, "${__field.labels.state}", state, "${__data.fields.state}", state)
	for _, p := range panels(t)["batches"] {
		for _, l := range p.FieldConfig.Defaults.Links {
			_, args, _ := strings.Cut(fill.Replace(l.URL), "?")
			v, err := url.ParseQuery(args)
			require.NoError(t, err)
			all = append(all, v.Get("query"))
		}
	}
	require.NotEmpty(t, all)
	return all
}
