// Package github tests the workflows of .github.
package github

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func workflows(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../.github/workflows/*.yml")
	require.NoError(t, err)
	require.Len(t, files, 3)
	return files
}

// actionlint is run as a tool of its own: its library does not build with the YAML that the other tests here need.
const actionlint = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"

func TestGitHubUnderstandsTheWorkflows(t *testing.T) {
	args := append([]string{"run", actionlint, "-shellcheck=", "-pyflakes="}, workflows(t)...)
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput() //nolint:gosec // a pinned program on files of ours
	require.NoError(t, err, string(out))
}

// A tag can be moved, also by somebody else.
func TestActionsArePinnedToCommits(t *testing.T) {
	pinned := regexp.MustCompile(`^actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, file := range workflows(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if _, action, ok := strings.Cut(strings.TrimSpace(line), "uses: "); ok {
				require.Regexp(t, pinned, action, file)
			}
		}
	}
}

// What runs there runs on a laptop by the same word.
func TestWorkflowsRunTargetsOfTheMakefile(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	word := regexp.MustCompile(`\bmake ([a-z-]+)`)
	for _, file := range workflows(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		found := word.FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, found, file)
		for _, m := range found {
			require.Regexp(t, `(?m)^`+m[1]+`:.*## `, string(makefile), file)
		}
	}
}
