// Package systemd tests the units.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func units(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.service")
	require.NoError(t, err)
	require.Len(t, files, 2)
	return files
}

func TestUnitsHaveNoRightsAndEndInTime(t *testing.T) {
	for _, file := range units(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		program := strings.TrimSuffix(strings.TrimPrefix(file, "ai-backlog-"), ".service")
		require.Contains(t, string(text), "\nEnvironmentFile=-/etc/ai-backlog-ingest/"+program+".env\n", "both cannot listen on one METRICS_ADDR")
		for _, line := range []string{
			"EnvironmentFile=/etc/ai-backlog-ingest/env", "Restart=always", "TimeoutStopSec=30s", "DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict",
			"CapabilityBoundingSet=", "SystemCallFilter=@system-service", "MemoryDenyWriteExecute=yes", "WantedBy=multi-user.target",
		} {
			require.Contains(t, strings.Split(string(text), "\n"), line, file)
		}
	}
}

func TestSystemdUnderstandsTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err) // the keys are tested above
	}
	for _, file := range units(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		copied := filepath.Join(t.TempDir(), file)
		here := strings.NewReplacer("/opt/ai-backlog-ingest/consumer", "/bin/true", "/opt/ai-backlog-ingest/worker", "/bin/true").Replace(string(text))
		require.NoError(t, os.WriteFile(copied, []byte(here), 0o600))
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", copied).CombinedOutput() //nolint:gosec // a file of ours
		require.NoError(t, err, string(out))
		require.NotContains(t, string(out), file, "a key that it ignores")
	}
}
