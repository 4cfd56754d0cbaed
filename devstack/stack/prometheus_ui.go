//go:build unix

package stack

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// pnpm is what Prometheus builds its pages with.
const pnpm = "pnpm@10.34.8"

// unserved is a package of which Prometheus's lock file names a version that not every registry has: another one does for pictures.
var unserved = regexp.MustCompile(`"@mantine/code-highlight": "[^"]*"`)

// PrometheusUI answers the directory of Prometheus's pages, for PrometheusOptions. They are built by npm out of the sources that its
// program is built of, once, which takes a minute or two and 150 MB of packages.
func PrometheusUI(ctx context.Context, log io.Writer) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	src, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	module := filepath.Join(src, PrometheusName)
	key, err := filesKey(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "prometheus-ui-"+key)
	return dir, once(ctx, log, dir, func(draft string) error {
		started := time.Now()
		say(log, "building the pages of Prometheus")
		if err := buildUI(ctx, log, module, draft); err != nil {
			return fmt.Errorf("build the pages of Prometheus: %w", err)
		}
		say(log, "built the pages of Prometheus in %s", time.Since(started).Round(100*time.Millisecond))
		return nil
	})
}

// buildUI works below a directory of its own: modules in Go's cache cannot be written to.
func buildUI(ctx context.Context, log io.Writer, module, to string) error {
	source, err := moduleDir(ctx, module, prometheusModule)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(to), "prometheus-ui.work-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	ui := filepath.Join(work, "ui")
	if err := os.CopyFS(ui, os.DirFS(filepath.Join(source, "web", "ui"))); err != nil {
		return err
	}
	manifest := filepath.Join(ui, "mantine-ui", "package.json")
	text, err := os.ReadFile(manifest) //nolint:gosec // the copy
	if err != nil {
		return err
	}
	if err := os.WriteFile(manifest, unserved.ReplaceAll(text, []byte(`"@mantine/code-highlight": "*"`)), 0o600); err != nil { //nolint:gosec // the copy
		return err
	}
	for _, c := range []struct {
		dir  string
		args []string
	}{
		{work, []string{"npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", work, pnpm}},
		{ui, []string{"pnpm", "install", "--silent", "--no-frozen-lockfile", "--ignore-scripts", "--config.minimumReleaseAge=0", "--config.strict-peer-dependencies=false"}},
		{ui, []string{"bash", "build_ui.sh", "--mantine-ui"}},
	} {
		cmd := exec.CommandContext(ctx, "/usr/bin/env", c.args...) //nolint:gosec // as above
		cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, log, log
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(work, "node_modules", ".bin")+":"+os.Getenv("PATH"))
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s %s: %w", c.args[0], c.args[1], err)
		}
	}
	return os.Rename(filepath.Join(ui, "static"), to)
}
