//go:build unix

package stack

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed apache/pom.xml
var pom []byte

//go:embed apache/log4j2.xml
var log4j []byte

// oldestJava is the first that runs Kafka 4's broker.
const oldestJava = 17

// insteadOfApache ends the errors of a machine that cannot run Apache Kafka.
const insteadOfApache = "or use the stand-in, which needs neither (unset " + kafkaVariable + ")"

// apache has in b what Apache Kafka needs: Java, which has to be there, its jars, fetched by mvn, and an archive of its classes.
// Both are kept by the checksum of what they are made of.
func (b *Binaries) apache(ctx context.Context, log io.Writer, cache string) error {
	version, err := b.java(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, ApacheKafkaName+"-"+checksum(pom, log4j))
	err = once(ctx, log, dir, func(draft string) error {
		started := time.Now()
		say(log, "downloading Apache Kafka (44 MB)")
		if err := fromMaven(ctx, log, draft); err != nil {
			return err
		}
		say(log, "downloaded Apache Kafka in %s", time.Since(started).Round(100*time.Millisecond))
		return nil
	})
	if err != nil {
		return err
	}
	jars, err := filepath.Glob(filepath.Join(dir, "*.jar"))
	if err != nil || len(jars) == 0 {
		return fmt.Errorf("no jars in %s: delete it", dir)
	}
	b.KafkaJars = strings.Join(jars, ":")
	b.javaFlags = []string{"-Dlog4j2.configurationFile=" + filepath.Join(dir, "log4j2.xml")}
	archive := filepath.Join(dir, "classes-"+checksum(version)+".jsa")
	err = once(ctx, log, archive, func(draft string) error { return b.archive(ctx, draft) })
	b.KafkaArchive = archive
	return err
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// java finds the program, and answers what it says of its version.
func (b *Binaries) java(ctx context.Context) ([]byte, error) {
	path := ""
	if home := os.Getenv("JAVA_HOME"); home != "" {
		path = filepath.Join(home, "bin", "java")
	}
	if path == "" {
		var err error
		if path, err = exec.LookPath("java"); err != nil {
			return nil, fmt.Errorf("java is needed to run Apache Kafka: install Java %d or newer and Maven, %s: %w", oldestJava, insteadOfApache, err)
		}
	}
	version, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s -version: %w", path, err)
	}
	found := javaVersion.FindSubmatch(version)
	if found == nil {
		return nil, fmt.Errorf("%s -version tells no version", path)
	}
	if n, err := strconv.Atoi(string(found[1])); err != nil || n < oldestJava {
		return nil, fmt.Errorf("%s is Java %s, Apache Kafka needs %d or newer: install it, %s", path, found[1], oldestJava, insteadOfApache)
	}
	b.Java = path
	return version, nil
}

// fromMaven makes a directory of the jars and of what Kafka logs by.
func fromMaven(ctx context.Context, log io.Writer, dir string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("mvn is needed to download Apache Kafka, once: install Maven, %s: %w", insteadOfApache, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for name, content := range map[string][]byte{"pom.xml": pom, "log4j2.xml": log4j} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	const strictly = "-C"                                                                                                                                     // a jar whose checksum is not the registry's is an error
	get := exec.CommandContext(ctx, mvn, "-B", "-q", strictly, "-f", filepath.Join(dir, "pom.xml"), "dependency:copy-dependencies", "-DoutputDirectory="+dir) //nolint:gosec // a constant goal
	var said bytes.Buffer
	get.Dir, get.Stdout, get.Stderr = dir, &said, &said
	if err := get.Run(); err != nil {
		_, _ = log.Write(said.Bytes())
		return fmt.Errorf("mvn dependency:copy-dependencies: %w", err)
	}
	return nil
}

// archive has a broker start and stop, and keeps its classes as they are in memory by then: others start in half the time.
func (b *Binaries) archive(ctx context.Context, path string) (err error) {
	dir, err := os.MkdirTemp("", "devstack-kafka-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	first := *b
	first.javaFlags = append([]string{"-XX:ArchiveClassesAtExit=" + path}, b.javaFlags...)
	s, err := ApacheKafka(KafkaOptions{Binaries: first, Dir: dir})
	if err != nil {
		return err
	}
	defer s.Release()
	if err := s.Start(ctx); err != nil {
		return err
	}
	return errors.Join(s.Stop(), ctx.Err())
}

func checksum(parts ...[]byte) string {
	hash := sha256.New()
	for _, p := range parts {
		_, _ = hash.Write(p)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}
