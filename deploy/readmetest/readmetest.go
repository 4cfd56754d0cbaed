// Package readmetest reads the README's table of variables, for tests of what sets them.
package readmetest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Variable is a row of the table.
type Variable struct{ Name, Meaning string }

// Client tells whether the variable is for programs that use package client, and for none of ours.
func (v Variable) Client() bool {
	return strings.HasPrefix(v.Meaning, "client:") || strings.HasPrefix(v.Meaning, "Go client:")
}

// Secret tells whether its value is one.
func (v Variable) Secret() bool {
	return strings.HasSuffix(v.Name, "_PASSWORD") || strings.HasSuffix(v.Name, "_API_KEY")
}

var (
	row    = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|.*?\\| (.*) \\|$")
	others = regexp.MustCompile("`(TEMPORAL_[A-Z_]+)`")
)

// Variables are the table's, and those that its rows name besides, sorted. The test runs in a folder of deploy.
func Variables(t *testing.T) (all []Variable) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(text), "<!-- config:begin -->")
	table, _, _ = strings.Cut(table, "<!-- config:end -->")
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		all = append(all, Variable{m[1], m[2]})
		for _, o := range others.FindAllStringSubmatch(m[2], -1) {
			all = append(all, Variable{o[1], m[2]})
		}
	}
	require.Greater(t, len(all), 30)
	slices.SortFunc(all, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Names are those of Variables.
func Names(t *testing.T) (names []string) {
	t.Helper()
	for _, v := range Variables(t) {
		names = append(names, v.Name)
	}
	return names
}
