package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/ai-backlog/ingest/integration/fault"
	"github.com/ai-backlog/ingest/integration/rig"
)

// back is how many changes of the programs' code the other build of a deploy is behind.
const back = 10

// otherBuild makes worker and consumer of an older commit, and says which. Where that cannot be had, since the checkout has no
// history, a deploy changes settings only; a commit that was asked for has to be there.
func (c *chaos) otherBuild(ctx context.Context, dir string) (b fault.Build, what string, err error) {
	b = fault.Changed
	old := filepath.Join(dir, "old")
	commit, err := c.build(ctx, old)
	if err != nil && (c.Old != "" || ctx.Err() != nil) {
		return b, "", fmt.Errorf("build CHAOS_OLD=%s: %w", c.Old, err)
	}
	if err != nil {
		c.logf("no older build: %s", err)
		return b, "this version with other settings", nil
	}
	b.Worker, b.Consumer = filepath.Join(old, "worker"), filepath.Join(old, "consumer")
	return b, "the programs of commit " + commit + " with other settings", nil
}

// build makes the older programs in the directory.
func (c *Config) build(ctx context.Context, dir string) (commit string, err error) {
	if commit = c.Old; commit == "" {
		if commit, err = rig.Older(ctx, back); err != nil {
			return "", err
		}
	}
	return commit, rig.BuildOlder(ctx, commit, dir)
}
