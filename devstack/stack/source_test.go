//go:build unix

package stack_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/devstack/stack"
)

func TestAProgramIsBuiltAgainWhenItOrAPackageBelowItChanges(t *testing.T) {
	src := t.TempDir()
	keys := map[string]bool{}
	for _, file := range []string{"go.mod", "go.sum", "clickhouse/main.go", "clickhouse/config/config.go", "other/main.go"} {
		path := filepath.Join(src, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte("package main\n"), 0o600))
	}
	key := func() string {
		k, err := stack.SourceKey(src, "clickhouse")
		require.NoError(t, err)
		return k
	}
	first := key()
	for _, file := range []string{"clickhouse/main.go", "clickhouse/config/config.go", "go.sum"} {
		keys[key()] = true
		require.NoError(t, os.WriteFile(filepath.Join(src, file), []byte("package changed\n"), 0o600))
		require.False(t, keys[key()], file)
	}
	keys[key()] = true
	require.NoError(t, os.WriteFile(filepath.Join(src, "other/main.go"), []byte("package changed\n"), 0o600))
	require.True(t, keys[key()], "another program's")
	require.NotEqual(t, first, key())
}
