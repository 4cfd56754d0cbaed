package rig

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// ErrNoPython says that this machine has no python3 that could run the examples.
var ErrNoPython = errors.New("no python3 of version 3.10 or later")

// about names the interpreter, and fails where it is too old.
const about = "import sys, sysconfig; print(sys.version, sys.base_prefix, sysconfig.get_platform()); sys.exit(sys.version_info < (3, 10))"

// making has one test at a time look whether the environment is there.
var making sync.Mutex

// Python is the interpreter of a virtual environment that has what the file of requirements names. It lies in the cache, keyed by
// the file and by the interpreter that it was made with; without it, it is made, which downloads the packages. A process that is
// killed meanwhile leaves nothing half-made, and of two that make it at once one wins.
func Python(ctx context.Context, requirements string) (string, error) {
	making.Lock()
	defer making.Unlock()
	base, err := exec.LookPath("python3")
	if err != nil {
		return "", ErrNoPython
	}
	version, err := exec.CommandContext(ctx, base, "-c", about).Output() //nolint:gosec // fixed arguments
	if err != nil {
		return "", ErrNoPython
	}
	wanted, err := os.ReadFile(requirements) //nolint:gosec // the test's own file
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, fmt.Sprintf("python-%x", sha256.Sum256(append(version, wanted...)))[:7+16])
	interpreter := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(interpreter); err == nil { //nolint:gosec // the user's own cache
		return interpreter, nil
	}
	draft, err := os.MkdirTemp(cache, "python-*.new")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(draft) }()
	if err := venv(ctx, base, draft, requirements); err != nil {
		return "", err
	}
	if err := os.Rename(draft, dir); err != nil { //nolint:gosec // the user's own cache
		if _, there := os.Stat(interpreter); there != nil { //nolint:gosec // the user's own cache
			return "", err
		}
	}
	return interpreter, nil
}

// venv makes the environment. It is moved later: only its interpreter may be called, not the scripts beside it, which know their place.
func venv(ctx context.Context, base, dir, requirements string) error {
	for _, command := range [][]string{
		{base, "-m", "venv", dir},
		{filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "-r", requirements},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil { //nolint:gosec // fixed arguments
			return fmt.Errorf("%s: %w: %s", command[1:], err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// cacheDir is where devstack keeps what it builds.
func cacheDir() (string, error) {
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(home, ".cache")
	}
	dir := filepath.Join(base, "ai-backlog-ingest")
	return dir, os.MkdirAll(dir, 0o750) //nolint:gosec // the user's own cache
}
