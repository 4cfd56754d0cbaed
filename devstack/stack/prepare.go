//go:build unix

package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Binaries are the paths of the programs that the servers run.
type Binaries struct {
	ClickHouse string // the launcher
	LibCHDB    string // the library that it serves
	Temporal   string
	Kafka      string // the stand-in

	Java         string // what runs Apache Kafka
	KafkaJars    string // its class path
	KafkaArchive string // of its classes
	javaFlags    []string

	Prometheus string
	Promtool   string // its checks of configurations and rules
}

// Prepare answers the programs, and downloads or builds those that the cache has not got: the first time some minutes,
// afterwards milliseconds. It says on log what takes long. Programs are built again when this module's sources change. Two
// processes that prepare at once do the work once. A build that is cut off leaves nothing half-made. With names only those
// servers are prepared, without those of Names; the other paths are empty.
func Prepare(ctx context.Context, log io.Writer, names ...string) (Binaries, error) {
	if len(names) == 0 {
		names = Names()
	}
	var b Binaries
	cache, err := cacheDir()
	if err != nil {
		return b, fmt.Errorf("prepare devstack: %w", err)
	}
	src, err := sourceDir(ctx)
	if err != nil {
		return b, fmt.Errorf("prepare devstack: %w", err)
	}
	programs := []struct {
		name string
		path *string
	}{{KafkaName, &b.Kafka}, {ClickHouseName, &b.ClickHouse}, {TemporalName, &b.Temporal}}
	for _, p := range programs {
		launcher := p.name == ClickHouseName && slices.Contains(names, LauncherName)
		if !launcher && !slices.Contains(names, p.name) {
			continue
		}
		if *p.path, err = program(ctx, log, cache, src, p.name); err != nil {
			return b, fmt.Errorf("prepare devstack: %w", err)
		}
	}
	if slices.Contains(names, ApacheKafkaName) {
		if err = b.apache(ctx, log, cache); err != nil {
			return b, fmt.Errorf("prepare devstack: %w", err)
		}
	}
	if slices.Contains(names, PrometheusName) {
		if err = b.prometheus(ctx, log, cache, src); err != nil {
			return b, fmt.Errorf("prepare devstack: %w", err)
		}
	}
	if !slices.Contains(names, ClickHouseName) {
		return b, nil
	}
	if b.LibCHDB, err = libCHDB(ctx, log, cache); err != nil {
		return b, fmt.Errorf("prepare devstack: %w", err)
	}
	return b, nil
}

// cacheDir is ${XDG_CACHE_HOME:-~/.cache}/ai-backlog-ingest, on every system.
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

// program answers the path of the program of this name in the cache, built from ./name of this module.
func program(ctx context.Context, log io.Writer, cache, src, name string) (string, error) {
	key, err := sourceKey(src, name)
	if err != nil {
		return "", fmt.Errorf("hash of ./%s: %w", name, err)
	}
	path := filepath.Join(cache, fmt.Sprintf("%s-%s", name, key))
	return path, once(ctx, log, path, func(draft string) error {
		hint := ""
		if name == TemporalName {
			hint = " (the first time 3 to 7 minutes and 1 GB of Go modules)"
		}
		say(log, "building %s%s", name, hint)
		started := time.Now()
		if err := build(ctx, log, src, draft, "./"+name); err != nil {
			return err
		}
		say(log, "built %s in %s", name, time.Since(started).Round(100*time.Millisecond))
		removeOlder(cache, name, path)
		return nil
	})
}

// build makes the program out of the module's package, the last argument; flags come before it.
func build(ctx context.Context, log io.Writer, module, program string, args ...string) error {
	args = append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", program}, args...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // programs that these sources name
	cmd.Dir, cmd.Stdout, cmd.Stderr = module, log, log
	// The flags and tags of a test run, and a workspace around it, are not for these programs.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s in %s: %w", args[len(args)-1], module, err)
	}
	return nil
}

// once has produce make path, unless it is there, under a lock against other processes. What produce makes is moved to its
// place at the end.
func once(ctx context.Context, log io.Writer, path string, produce func(draft string) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	lock, err := waitLock(ctx, log, filepath.Join(filepath.Dir(path), "lock"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	draft := path + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	if err := produce(draft); err != nil {
		return err
	}
	return os.Rename(draft, path)
}

func waitLock(ctx context.Context, log io.Writer, path string) (*os.File, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for told := false; ; {
		lock, err := lockFile(path, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
			return lock, err
		}
		if !told {
			told = true
			say(log, "waiting for another process that prepares the same")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// removeOlder deletes earlier builds of the program; a running one keeps its file until it ends.
func removeOlder(cache, name, keep string) {
	const aDay = 24 * time.Hour // others may work on another commit of this module right now
	old, err := filepath.Glob(filepath.Join(cache, name+"-*"))
	if err != nil {
		return
	}
	for _, path := range old {
		if info, err := os.Stat(path); err == nil && path != keep && path != keep+".new" && time.Since(info.ModTime()) > 7*aDay {
			_ = os.Remove(path)
		}
	}
}

func say(log io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(log, "devstack: "+format+"\n", args...)
}
