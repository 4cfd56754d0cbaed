package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// taken are the licences that may be linked in: they ask for their text to be kept, no more; MPL-2.0 also for the module's own files,
// which nobody here changes.
var taken = []string{"Apache-2.0", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "Unlicense", "CC0-1.0", "MPL-2.0"}

// unstated are modules that have no licence with them, with what is known.
var unstated = map[string]string{
	"github.com/nexus-rpc/nexus-proto-annotations": "none stated; options of protobuf that Temporal's go.temporal.io/api (MIT) imports",
}

// page is where the list is, and root the repository, seen from the module deploy.
const (
	root = ".."
	page = root + "/docs/licenses.md"
)

// module is one that is linked in.
type module struct{ path, version, dir string }

// list is the page about the programs of the repository in that folder. All that is wrong comes in one error.
func list(ctx context.Context, repository string) ([]byte, error) {
	modules, err := linked(ctx, repository)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("# Licences\n\nThe modules that are linked into `consumer`, `worker` and `starter`, and package `client`, on Linux. Made by `make licenses`, which\ntakes none but " +
		strings.Join(taken, ", ") + ". The programs' own licence is Apache-2.0.\n\n| module | version | licence |\n|---|---|---|\n")
	var errs []error
	for _, m := range modules {
		ids, err := licencesOf(m.dir)
		if why := unstated[m.path]; err == nil && len(ids) == 0 && why != "" {
			ids = []string{why}
		} else if err == nil {
			err = refused(ids)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", m.path, m.version, err))
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", m.path, m.version, strings.Join(ids, ", "))
	}
	return out.Bytes(), errors.Join(errs...)
}

// linked are the modules of all packages that the programs and the client import, less the repository's own.
func linked(ctx context.Context, repository string) (all []module, err error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}", "./consumer", "./worker", "./starter", "./client")
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the programs' modules: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		if f := strings.Split(line, "\t"); len(f) == 3 {
			all = append(all, module{f[0], f[1], f[2]})
		}
	}
	return all, nil
}

// licencesOf are those of the files in a module's folder that are called like one.
func licencesOf(dir string) (ids []string, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name := strings.ToUpper(f.Name())
		if f.IsDir() || !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") && !strings.HasPrefix(name, "UNLICENSE") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name())) //nolint:gosec // of the module cache
		if err != nil {
			return nil, err
		}
		for _, m := range licensecheck.Scan(text).Match {
			if !m.IsURL && !slices.Contains(ids, m.ID) {
				ids = append(ids, m.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// refused is what is wrong with the licences of a module.
func refused(ids []string) error {
	if len(ids) == 0 {
		return errors.New("no licence that is known: look at it, and do without it")
	}
	for _, id := range ids {
		if !slices.Contains(taken, id) {
			return fmt.Errorf("%s is not among the licences that are taken (%s)", id, strings.Join(taken, ", "))
		}
	}
	return nil
}
