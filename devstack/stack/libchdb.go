//go:build unix

package stack

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// libVersion is that of the npm packages; ClickHouse 26.7 is inside. PyPI's chdb-core 26.7.3 is of no use: its library wants Python's
// symbols and does not export chdb_query_cmdline.
const libVersion = "26.7.3-stable.1"

// libVariable names a libchdb.so to use instead of downloading one.
const libVariable = "LIBCHDB"

// npmPackages are those that carry libchdb.so. musl systems are not served.
var npmPackages = map[string]string{
	"linux/amd64":  "@chdb/lib-linux-x64-gnu",
	"linux/arm64":  "@chdb/lib-linux-arm64-gnu",
	"darwin/amd64": "@chdb/lib-darwin-x64",
	"darwin/arm64": "@chdb/lib-darwin-arm64",
}

// libCHDB answers the path that LIBCHDB has, or that of libchdb.so in the cache, fetched by npm.
func libCHDB(ctx context.Context, log io.Writer, cache string) (string, error) {
	if path := os.Getenv(libVariable); path != "" {
		_, err := os.Stat(path) //nolint:gosec // the user names it
		return path, err
	}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	pkg, ok := npmPackages[platform]
	if !ok {
		return "", fmt.Errorf("there is no libchdb for %s: run a ClickHouse of your own and set CLICKHOUSE_HOST", platform)
	}
	dir := filepath.Join(cache, "libchdb-"+libVersion)
	err := once(ctx, log, dir, func(draft string) error {
		if err := os.MkdirAll(draft, 0o750); err != nil {
			return err
		}
		started := time.Now()
		say(log, "downloading ClickHouse as libchdb %s (180 MB, 570 MB on disk)", libVersion)
		if err := fromNPM(ctx, log, draft, pkg); err != nil {
			return err
		}
		say(log, "downloaded ClickHouse in %s", time.Since(started).Round(100*time.Millisecond))
		return nil
	})
	return filepath.Join(dir, "libchdb.so"), err
}

func fromNPM(ctx context.Context, log io.Writer, dir, pkg string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("npm is needed to download libchdb (or set %s to a libchdb.so, or CLICKHOUSE_HOST to a ClickHouse): %w", libVariable, err)
	}
	pack := exec.CommandContext(ctx, npm, "pack", "--silent", pkg+"@"+libVersion) //nolint:gosec // a constant package
	pack.Dir, pack.Stderr = dir, log
	if err := pack.Run(); err != nil {
		return fmt.Errorf("npm pack %s@%s: %w", pkg, libVersion, err)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("npm pack %s@%s left %d archives", pkg, libVersion, len(archives))
	}
	if err := unpackLib(archives[0], filepath.Join(dir, "libchdb.so")); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(archives[0]), err)
	}
	return os.Remove(archives[0])
}

// unpackLib takes libchdb.so alone out of the archive.
func unpackLib(archive, to string) error {
	f, err := os.Open(archive) //nolint:gosec // npm has just put it there
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if err != nil {
			return fmt.Errorf("libchdb.so: %w", err)
		}
		if header.Name != "package/libchdb.so" {
			continue
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o750) //nolint:gosec // a library
		if err != nil {
			return err
		}
		_, err = io.Copy(out, files) //nolint:gosec // npm has checked the archive's hash
		return errors.Join(err, out.Close())
	}
}
