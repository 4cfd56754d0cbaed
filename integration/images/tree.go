package main

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

// tree is what an image holds: paths in it, and the files here that they come from.
type tree struct {
	dir   string // for what is made on the way
	files map[string]string
	dirs  []string
}

func (t *tree) add(path, from string) {
	if t.files == nil {
		t.files = map[string]string{}
	}
	t.files[path] = from
}

func (t *tree) mkdir(path string) { t.dirs = append(t.dirs, path) }

// needed is a line of ldd that names a file.
var needed = regexp.MustCompile(`(?m)(?:=>\s+|^\s*)(/\S+) \(0x`)

// libraries adds the shared libraries, and the loader, that the binaries need, at their own paths; not those that lie beside them.
func (t *tree) libraries(ctx context.Context, binaries ...string) error {
	for _, b := range binaries {
		out, err := exec.CommandContext(ctx, "ldd", b).Output() //nolint:gosec // what we put into the image
		if err != nil {
			return fmt.Errorf("ldd %s: %w", b, err)
		}
		for _, m := range needed.FindAllStringSubmatch(string(out), -1) {
			if rel, err := filepath.Rel(t.dir, m[1]); err != nil || !filepath.IsLocal(rel) {
				t.add(m[1], m[1])
			}
		}
	}
	return nil
}

// write sends the Dockerfile, and the tree below root.
func (t *tree) write(to io.Writer, dockerfile []byte) error {
	w := tar.NewWriter(to)
	if err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		return err
	}
	if _, err := w.Write(dockerfile); err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "root/tmp/", Mode: 0o1777}); err != nil {
		return err
	}
	for _, dir := range t.dirs {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "root" + dir + "/", Mode: 0o777}); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(t.files)) {
		if err := write(w, "root"+path, t.files[path]); err != nil {
			return err
		}
	}
	return w.Close()
}

// write sends one file; a link is sent as what it leads to.
func write(w *tar.Writer, name, from string) error {
	f, err := os.Open(from) //nolint:gosec // what we put into the image
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := int64(info.Mode().Perm()) | 0o444 // whoever the container runs as
	if mode&0o100 != 0 {
		mode |= 0o111
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
