//go:build unix

package stack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
)

const modulePath = "github.com/ai-backlog/ingest/devstack"

// sourceDir finds this module's folder: where this file was compiled, or, in a -trimpath build, what the go command says for
// the working directory's module.
func sourceDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok {
		dir := filepath.Dir(filepath.Dir(file))
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return moduleDir(ctx, "", modulePath)
}

// moduleDir is where the sources of a module are that the module in a directory requires.
func moduleDir(ctx context.Context, in, module string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module) //nolint:gosec // modules that these sources name
	list.Dir = in
	out, err := list.Output()
	if dir := strings.TrimSpace(string(out)); err == nil && dir != "" {
		return dir, nil
	}
	return "", errors.New("the sources of " + module + " are not on this machine")
}

// sourceKey names a build: a hash over the program's sources, the versions of its modules, the toolchain and the platform.
func sourceKey(src, name string) (string, error) {
	files, err := filepath.Glob(filepath.Join(src, name, "*.go"))
	if err != nil {
		return "", err
	}
	below, err := filepath.Glob(filepath.Join(src, name, "*", "*.go"))
	if err != nil {
		return "", err
	}
	files = append(files, below...)
	if len(files) == 0 {
		return "", fmt.Errorf("no sources in %s", filepath.Join(src, name))
	}
	sort.Strings(files)
	return filesKey(append(files, filepath.Join(src, "go.mod"), filepath.Join(src, "go.sum"))...)
}

// filesKey is a hash over the files, but for tests, the toolchain and the platform.
func filesKey(files ...string) (string, error) {
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if err := addFile(hash, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

func addFile(hash io.Writer, path string) error {
	f, err := os.Open(path) //nolint:gosec // a file of this module
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, _ = fmt.Fprintln(hash, filepath.Base(path))
	_, err = io.Copy(hash, f)
	return err
}
