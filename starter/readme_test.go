package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tableRow is a variable of README's table with its default: `x`, or
// `x` (program), `y` (program) where the programs differ, or nothing.
var tableRow = regexp.MustCompile("^\\| `([A-Z_]+)` \\| ([^|]*?) ?\\| \\S.* \\|$")

// envTags are the variables of a configuration, with their defaults, read from
// the source: the programs' packages cannot be imported.
func envTags(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	found := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok || field.Tag == nil {
			return true
		}
		tag := reflect.StructTag(strings.Trim(field.Tag.Value, "`"))
		name, _, _ := strings.Cut(tag.Get("env"), ",")
		if name != "" {
			found[name] = tag.Get("envDefault")
		}
		return true
	})
	require.NotEmpty(t, found, file)
	return found
}

func TestReadmeListsEveryVariableWithItsDefault(t *testing.T) {
	defaults := map[string]map[string][]string{} // variable → default → who has it
	for who, file := range map[string]string{
		"kafka": "../kafka/config.go", "clickhouse": "../clickhouse/config.go",
		"consumer": "../consumer/config.go", "worker": "../worker/config.go", "topics": "../settings/topics.go", "traces": "../monitor/tracing.go", "client": "../client/config.go",
	} {
		for name, value := range envTags(t, file) {
			if defaults[name] == nil {
				defaults[name] = map[string][]string{}
			}
			defaults[name][value] = append(defaults[name][value], who)
		}
	}
	want := map[string]string{}
	for name, values := range defaults {
		var cell []string
		for value, who := range values {
			switch slices.Sort(who); {
			case value == "":
			case len(values) == 1:
				cell = append(cell, "`"+value+"`")
			default:
				cell = append(cell, "`"+value+"` ("+strings.Join(who, ", ")+")")
			}
		}
		slices.Sort(cell)
		want[name] = strings.Join(cell, ", ")
	}

	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(readme), "<!-- config:begin -->\n")
	require.True(t, found)
	table, _, found = strings.Cut(table, "<!-- config:end -->")
	require.True(t, found)
	got := map[string]string{}
	for _, l := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
		m := tableRow.FindStringSubmatch(l)
		require.NotNil(t, m, "not | `VARIABLE` | default | meaning |: %s", l)
		if strings.HasPrefix(m[1], "TEMPORAL_") { // Temporal's own, read by its envconfig
			continue
		}
		require.NotContains(t, got, m[1], "listed twice")
		got[m[1]] = m[2]
	}
	require.Equal(t, want, got)
}
