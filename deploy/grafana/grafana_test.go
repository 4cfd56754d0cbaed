package main

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestTheFilesAreWhatTheProgramWrites(t *testing.T) {
	want, err := files()
	require.NoError(t, err)
	have, err := filepath.Glob("dashboards/*")
	require.NoError(t, err)
	require.Len(t, have, len(want))
	for name, text := range want {
		is, err := os.ReadFile(filepath.Join("dashboards", name))
		require.NoError(t, err)
		require.Equal(t, string(text), string(is), "cd deploy && go run ./grafana")
	}
}

// boards are the dashboards, as Grafana reads them.
func boards(t *testing.T) (all []board) {
	t.Helper()
	plugins.RegisterDefaultPlugins()
	paths, err := filepath.Glob("dashboards/*.json")
	require.NoError(t, err)
	require.Len(t, paths, 4)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var strict, d board
		if err := strict.UnmarshalJSONStrict(text); err != nil { // an empty list of errors is none
			require.Empty(t, err.Error(), "%s has something that Grafana does not know", path)
		}
		require.NoError(t, json.Unmarshal(text, &d))
		all = append(all, d)
	}
	return all
}

func TestEveryPanelSaysWhatItShowsInWhichUnitAndAsksTheChosenSource(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range boards(t) {
		require.False(t, uids[*d.Uid], *d.Uid)
		uids[*d.Uid] = true
		require.Equal(t, "datasource", d.Templating.List[0].Name)
		ids, titles := map[uint32]bool{}, map[string]bool{}
		for _, p := range d.Panels {
			if p.RowPanel != nil {
				require.False(t, ids[p.RowPanel.Id])
				ids[p.RowPanel.Id] = true
				continue
			}
			title := *p.Panel.Title
			require.False(t, ids[*p.Panel.Id], title)
			require.False(t, titles[title], title)
			ids[*p.Panel.Id], titles[title] = true, true
			require.NotEmpty(t, *p.Panel.Description, title)
			require.NotEmpty(t, *p.Panel.FieldConfig.Defaults.Unit, title)
			require.Equal(t, "${datasource}", *p.Panel.Datasource.Uid, title)
			require.NotEmpty(t, p.Panel.Targets, title)
		}
		require.NotEmpty(t, titles)
	}
}

func TestPanelsFillTheirRowsWithoutOverlap(t *testing.T) {
	for _, d := range boards(t) {
		taken := map[[2]uint32]string{}
		for _, p := range d.Panels {
			if p.Panel == nil {
				continue
			}
			at := p.Panel.GridPos
			require.LessOrEqual(t, at.X+at.W, uint32(24), *p.Panel.Title)
			for x := at.X; x < at.X+at.W; x++ {
				for y := at.Y; y < at.Y+at.H; y++ {
					require.Empty(t, taken[[2]uint32{x, y}], *p.Panel.Title)
					taken[[2]uint32{x, y}] = *p.Panel.Title
				}
			}
		}
	}
}

func TestEveryVariableOfAQueryIsThere(t *testing.T) {
	for _, d := range boards(t) {
		known := []string{"__rate_interval"}
		for _, v := range d.Templating.List {
			known = append(known, v.Name)
		}
		text, err := json.Marshal(d.Panels)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\$\{?([a-z_]+)`).FindAllStringSubmatch(string(text), -1) {
			if m[1] != "__field" && m[1] != "__data" {
				require.Contains(t, known, m[1])
			}
		}
	}
}

// The list that a link leads to is asked of a Temporal in integration/metrics_test.go.
func TestLinksOfBatchesLeadIntoTheFilteredListOfTemporalsUI(t *testing.T) {
	n := 0
	for _, d := range boards(t) {
		for _, p := range d.Panels {
			if p.Panel == nil {
				continue
			}
			for _, l := range p.Panel.FieldConfig.Defaults.Links {
				n++
				page, ok := strings.CutPrefix(*l.Url, "${temporal}/namespaces/${namespace}/workflows?")
				require.True(t, ok, *p.Panel.Title)
				args, err := url.ParseQuery(page)
				require.NoError(t, err)
				require.Regexp(t, `IngestTopic = "\$\{__(field\.labels|data\.fields)\.topic\}" AND .*ExecutionStatus = "Running"$`, args.Get("query"))
			}
		}
	}
	require.Equal(t, 4, n)
}

func TestGrafanaIsProvisionedWithTheseFiles(t *testing.T) {
	for _, path := range []string{"provisioning/datasources/prometheus.yml", "provisioning/dashboards/ingest.yml"} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var file struct {
			APIVersion  int `yaml:"apiVersion"`
			Datasources []struct{ Type, URL string }
			Providers   []struct {
				Type    string
				Options struct{ Path string }
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &file))
		require.Equal(t, 1, file.APIVersion)
		for _, s := range file.Datasources {
			require.Equal(t, "prometheus", s.Type)
		}
		for _, p := range file.Providers {
			require.Equal(t, "file", p.Type)
			require.NotEmpty(t, p.Options.Path)
		}
		require.NotZero(t, len(file.Datasources)+len(file.Providers))
	}
}
