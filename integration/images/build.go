package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/container"
)

//go:embed *.Dockerfile entrypoint/*.go *.go
var sources embed.FS

// image is one to build: what is in it comes from packages that devstack has in its cache.
type image struct {
	name, variable string
	made           []string // what its content is made of, each named by its version or checksum
	fill           func(ctx context.Context, t *tree) error
}

func images(b stack.Binaries) []image {
	return []image{
		{stack.KafkaName, container.KafkaVariable, []string{b.KafkaJars, b.KafkaArchive}, func(ctx context.Context, t *tree) error { return fillKafka(ctx, t, b) }},
		{stack.ClickHouseName, container.ClickHouseVariable, []string{b.ClickHouse, b.LibCHDB}, func(ctx context.Context, t *tree) error { return fillClickHouse(ctx, t, b) }},
		{stack.TemporalName, container.TemporalVariable, []string{b.Temporal}, func(_ context.Context, t *tree) error { return fillTemporal(t, b) }},
	}
}

// build makes the images that the engine has not got, and prints the variables by which the tests find them.
func build(ctx context.Context, out, log io.Writer) error {
	d, err := container.Connect(ctx)
	if err != nil {
		return err
	}
	b, err := stack.Prepare(ctx, log, stack.ApacheKafkaName, stack.ClickHouseName, stack.TemporalName)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ai-backlog-images-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, i := range images(b) {
		tag, err := i.tag()
		if err != nil {
			return err
		}
		if _, err := d.ImageInspect(ctx, tag); err != nil {
			began := time.Now()
			if err := i.build(ctx, d, filepath.Join(dir, i.name), tag); err != nil {
				return fmt.Errorf("build the image of %s: %w", i.name, err)
			}
			_, _ = fmt.Fprintf(log, "built %s in %s\n", tag, time.Since(began).Round(100*time.Millisecond))
		}
		if _, err := fmt.Fprintf(out, "export %s=%s\n", i.variable, tag); err != nil {
			return err
		}
	}
	return nil
}

// tag names the image by all that it is made of.
func (i image) tag() (string, error) {
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, i.made)
	err := fs.WalkDir(sources, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".Dockerfile") && path != i.name+".Dockerfile" {
			return err
		}
		text, err := sources.ReadFile(path)
		_, _ = hash.Write(text)
		return err
	})
	return "ai-backlog-" + i.name + ":" + hex.EncodeToString(hash.Sum(nil))[:12], err
}

// build sends the engine a tree of files and a Dockerfile; nothing is downloaded by it.
func (i image) build(ctx context.Context, d *container.Docker, dir, tag string) error {
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	t := &tree{dir: dir}
	if err := entrypoint(ctx, t); err != nil {
		return err
	}
	if err := i.fill(ctx, t); err != nil {
		return err
	}
	dockerfile, err := sources.ReadFile(i.name + ".Dockerfile")
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(t.write(w, dockerfile)) }()
	answer, err := d.ImageBuild(ctx, r, client.ImageBuildOptions{Tags: []string{tag}, NetworkMode: "none", Remove: true, ForceRemove: true})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	return built(answer.Body)
}

// built reads the engine's answer to its end.
func built(answer io.Reader) error {
	var said strings.Builder
	for lines := json.NewDecoder(answer); ; {
		var line struct{ Stream, Error string }
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line.Error != "":
			return fmt.Errorf("%s\n%s", line.Error, said.String())
		}
		_, _ = said.WriteString(line.Stream)
	}
}

// entrypoint is the first process of every image.
func entrypoint(ctx context.Context, t *tree) error {
	program := filepath.Join(t.dir, "entrypoint")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "github.com/ai-backlog/ingest/integration/images/entrypoint") //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the entrypoint: %w\n%s", err, out)
	}
	t.add("/usr/bin/entrypoint", program)
	return nil
}
