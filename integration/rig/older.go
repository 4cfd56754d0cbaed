package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNoHistory says that the checkout has no commit that is old enough.
var ErrNoHistory = errors.New("the checkout has not so much history")

// Older is the commit that is so many changes of the programs' code behind this tree's.
func Older(ctx context.Context, changes int) (commit string, err error) {
	root, err := Command(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ai-backlog/ingest")
	if err != nil {
		return "", err
	}
	commit, err = Command(ctx, root, "git", "log", "-1", "--skip="+strconv.Itoa(changes), "--format=%h", "--", "worker", "workflows", "activities", "consumer", "planlog")
	if err != nil || commit == "" {
		return "", errors.Join(ErrNoHistory, err)
	}
	return commit, nil
}

// BuildOlder makes the programs of another commit in the folder, which is new. The tools of tests are this tree's.
func BuildOlder(ctx context.Context, commit, dir string) error {
	root, err := Command(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ai-backlog/ingest")
	if err != nil {
		return err
	}
	source := filepath.Join(dir, "source")
	if err := os.MkdirAll(source, 0o700); err != nil {
		return err
	}
	tar := source + ".tar"
	for _, step := range [][]string{
		{root, "git", "archive", "--output", tar, commit},
		{source, "tar", "-xf", tar},
		{source, "go", "build", "-o", dir + "/", "./consumer", "./worker", "./starter"},
	} {
		if _, err := Command(ctx, step[0], step[1], step[2:]...); err != nil {
			return fmt.Errorf("build commit %s: %w", commit, err)
		}
	}
	return nil
}

// Command runs a program in the folder and answers what it printed, less the space around it.
func Command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // fixed programs; a commit of the user's own choice
	cmd.Dir = dir
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, failed.String())
	}
	return strings.TrimSpace(string(out)), nil
}
