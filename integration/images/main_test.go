package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAMachineWithoutDockerIsToldInOneLineAndFailsOnlyWhereOneIsRequired(t *testing.T) {
	program := t.TempDir() + "/images"
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput() //nolint:gosec // our own program
	require.NoError(t, err, string(out))
	nowhere := "DOCKER_HOST=unix://" + t.TempDir() + "/docker.sock"
	for name, c := range map[string]struct {
		env  []string
		code int
		says string
	}{
		"by itself":         {[]string{nowhere}, 0, "no Docker here: "},
		"where one must be": {[]string{nowhere, "INTEGRATION_CONTAINERS=required"}, 1, "images: INTEGRATION_CONTAINERS=required, but there is no Docker here: "},
		"a misspelt wish":   {[]string{nowhere, "INTEGRATION_CONTAINERS=yes"}, 1, "images: INTEGRATION_CONTAINERS=yes: want required"},
	} {
		t.Run(name, func(t *testing.T) {
			ask := exec.CommandContext(t.Context(), program, "ask") //nolint:gosec // built above
			ask.Env = append(ask.Environ(), c.env...)
			var out, log bytes.Buffer
			ask.Stdout, ask.Stderr = &out, &log
			_ = ask.Run() // the code says it
			require.Equal(t, c.code, ask.ProcessState.ExitCode(), log.String())
			require.Empty(t, out.String())
			require.True(t, strings.HasPrefix(log.String(), c.says), log.String())
			require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		})
	}
}
