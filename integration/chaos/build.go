package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ai-backlog/ingest/integration/fault"
)

// back is how many changes of the programs' code the other build of a deploy is behind.
const back = "10"

// otherBuild makes worker and consumer of an older commit, and says which. Where that cannot be had, since the checkout has no
// history, a deploy changes settings only; a commit that was asked for has to be there.
func (c *chaos) otherBuild(ctx context.Context, dir string) (b fault.Build, what string, err error) {
	b = fault.Changed
	commit, err := c.build(ctx, dir)
	if err != nil && (c.Old != "" || ctx.Err() != nil) {
		return b, "", fmt.Errorf("build CHAOS_OLD=%s: %w", c.Old, err)
	}
	if err != nil {
		c.logf("no older build: %s", err)
		return b, "this version with other settings", nil
	}
	b.Worker, b.Consumer = filepath.Join(dir, "worker-old"), filepath.Join(dir, "consumer-old")
	return b, "the programs of commit " + commit + " with other settings", nil
}

// build makes worker-old and consumer-old in the directory.
func (c *Config) build(ctx context.Context, dir string) (commit string, err error) {
	root, err := command(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ai-backlog/ingest")
	if err != nil {
		return "", err
	}
	commit = c.Old
	if commit == "" {
		commit, err = command(ctx, root, "git", "log", "-1", "--skip="+back, "--format=%h", "--", "worker", "workflows", "activities", "consumer", "planlog")
	}
	if err != nil || commit == "" {
		return "", errors.Join(errors.New("the checkout has not so much history"), err)
	}
	source := filepath.Join(dir, "old")
	if err := os.MkdirAll(source, 0o700); err != nil {
		return "", err
	}
	tar := source + ".tar"
	for _, step := range [][]string{
		{root, "git", "archive", "--output", tar, commit},
		{source, "tar", "-xf", tar},
		{source, "go", "build", "-o", filepath.Join(dir, "worker-old"), "./worker"},
		{source, "go", "build", "-o", filepath.Join(dir, "consumer-old"), "./consumer"},
	} {
		if _, err := command(ctx, step[0], step[1], step[2:]...); err != nil {
			return "", err
		}
	}
	return commit, nil
}

func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // fixed programs; a commit of the user's own choice
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
