// Package image tests what the image is made of: the programs as deploy/build makes them.
package image

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// allowed are the paths that .dockerignore lets into the image's build.
func allowed(t *testing.T) (paths []string) {
	t.Helper()
	text, err := os.ReadFile(root + "/.dockerignore")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			paths = append(paths, path)
		}
	}
	require.NotEmpty(t, paths)
	return paths
}

// sources copies what the image's build sees, and nothing else.
func sources(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	for _, path := range allowed(t) {
		err := filepath.WalkDir(filepath.Join(root, path), func(from string, e fs.DirEntry, err error) error {
			if err != nil || strings.HasSuffix(from, "_test.go") {
				return err
			}
			if e.IsDir() {
				if e.Name() == "testdata" {
					return filepath.SkipDir
				}
				return nil
			}
			at, err := filepath.Rel(root, from)
			if err != nil {
				return err
			}
			text, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(to, at)), 0o750); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, at), text, info.Mode())
		})
		require.NoError(t, err, path)
	}
	return to
}

// build makes the programs of a folder of sources, and answers their checksums.
func build(t *testing.T, from string) (dir string, sums map[string]string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(from, "deploy/build"), dir, "1.2.3", "0123456789ab")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	sums = map[string]string{}
	for _, program := range []string{"consumer", "worker", "starter"} {
		bytes, err := os.ReadFile(filepath.Join(dir, program))
		require.NoError(t, err)
		sum := sha256.Sum256(bytes)
		sums[program] = hex.EncodeToString(sum[:])
	}
	return dir, sums
}

// Whoever has the sources can tell whether a program is what it says. From two folders that hold what .dockerignore lets through.
func TestTheSameSourcesMakeTheSameProgramsInAnyFolder(t *testing.T) {
	one, sums := build(t, sources(t))
	_, again := build(t, sources(t))
	require.Equal(t, sums, again)
	for program := range sums {
		out, err := exec.CommandContext(t.Context(), filepath.Join(one, program), "--version").Output() //nolint:gosec // our own program
		require.NoError(t, err)
		require.Regexp(t, "^"+program+` 1\.2\.3, commit 0123456789ab, go1\.\S+\n$`, string(out))
	}
}
