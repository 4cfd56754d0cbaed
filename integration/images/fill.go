package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/ai-backlog/ingest/devstack/stack"
)

func fillClickHouse(ctx context.Context, t *tree, b stack.Binaries) error {
	t.add("/usr/bin/launcher", b.ClickHouse)
	t.add("/usr/lib/libchdb.so", b.LibCHDB)
	t.mkdir("/var/lib/clickhouse")
	return t.libraries(ctx, b.ClickHouse, b.LibCHDB)
}

func fillTemporal(t *tree, b stack.Binaries) error {
	t.add("/usr/bin/temporal-server", b.Temporal)
	return nil
}

// modules of Java are those that Kafka's classes name.
const modules = "java.base,java.desktop,java.logging,java.management,java.management.rmi,java.naming,java.net.http,java.rmi,java.security.jgss," +
	"java.security.sasl,java.sql,java.xml,jdk.crypto.ec,jdk.management,jdk.unsupported,jdk.zipfs"

// fillKafka has Kafka's jars, and a Java with no more than they need, which takes a JDK.
func fillKafka(ctx context.Context, t *tree, b stack.Binaries) error {
	jlink := "jlink"
	if jdk := os.Getenv("JAVA_HOME"); jdk != "" {
		jlink = filepath.Join(jdk, "bin", "jlink")
	}
	home := filepath.Join(t.dir, "java")
	java := filepath.Join(home, "bin", "java")
	for _, command := range [][]string{
		{jlink, "--add-modules", modules, "--strip-debug", "--no-man-pages", "--no-header-files", "--output", home},
		{java, "-Xshare:dump"}, // on top of which the broker's classes are archived
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil { //nolint:gosec // fixed arguments
			return fmt.Errorf("%s, which takes a JDK: %w\n%s", command, err, out)
		}
	}
	binaries := []string{java}
	err := filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || forScreens(e.Name()) {
			return err
		}
		if strings.HasSuffix(path, ".so") {
			binaries = append(binaries, path)
		}
		t.add("/opt/java"+strings.TrimPrefix(path, home), path)
		return nil
	})
	if err != nil {
		return err
	}
	jars := strings.Split(b.KafkaJars, ":")
	for _, jar := range jars {
		t.add("/opt/kafka/libs/"+filepath.Base(jar), jar)
		found, err := natives(t.dir, jar)
		if err != nil {
			return fmt.Errorf("libraries in %s: %w", filepath.Base(jar), err)
		}
		binaries = append(binaries, found...)
	}
	t.add("/etc/kafka/docker/log4j2.xml", filepath.Join(filepath.Dir(jars[0]), "log4j2.xml"))
	defaults := filepath.Join(t.dir, "server.properties")
	one := stack.ApacheProperties(stack.KafkaOptions{}, []stack.Broker{{Addr: "127.0.0.1:9092", Controller: "127.0.0.1:9093"}}, 1)
	if err := os.WriteFile(defaults, []byte(strings.ReplaceAll(one, "log.dirs=data", "log.dirs=/var/lib/kafka/data")+"\n"), 0o600); err != nil {
		return err
	}
	t.add("/etc/kafka/docker/server.properties", defaults)
	for _, dir := range []string{"/mnt/shared/config", "/opt/kafka/config", "/var/lib/kafka/data"} {
		t.mkdir(dir)
	}
	return t.libraries(ctx, binaries...)
}

// here are the names that jars have for this processor, in the paths of their libraries.
var here = map[string][]string{"amd64": {"linux/amd64/", "linux/x86_64/"}, "arm64": {"linux/aarch64/"}}[runtime.GOARCH]

// natives unpacks the libraries that a jar brings for this platform, which compress and decompress: what they need has to be there, too.
func natives(dir, jar string) ([]string, error) {
	files, err := zip.OpenReader(jar)
	if err != nil {
		return nil, err
	}
	defer func() { _ = files.Close() }()
	var found []string
	for _, f := range files.File {
		path := strings.ToLower(f.Name)
		if !strings.HasSuffix(path, ".so") || !slices.ContainsFunc(here, func(name string) bool { return strings.Contains(path, name) }) {
			continue
		}
		to := filepath.Join(dir, filepath.Base(f.Name))
		if err := unpack(f, to); err != nil {
			return nil, err
		}
		found = append(found, to)
	}
	return found, nil
}

func unpack(f *zip.File, to string) error {
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	out, err := os.Create(to) //nolint:gosec // in a directory of ours
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from) //nolint:gosec // Maven has checked the jar's sum
	return errors.Join(err, out.Close())
}

// forScreens are libraries of java.desktop, of which Kafka uses the beans alone; they would need others that servers have not.
func forScreens(name string) bool {
	for _, prefix := range []string{"libawt", "libfont", "libjawt", "libsplash", "libfreetype", "libjsound", "libmlib", "liblcms", "libjavajpeg"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
