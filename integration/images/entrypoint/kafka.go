package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	java     = "/opt/java/bin/java"
	home     = "/opt/kafka"
	defaults = "/etc/kafka/docker"
	mounted  = "/mnt/shared/config"
	config   = home + "/config"
	data     = "/var/lib/kafka/data"
)

// Archives of classes, as they are in memory after a start: later starts take half the time.
const (
	setupArchive = home + "/storage.jsa"
	kafkaArchive = home + "/kafka.jsa"
)

// kafka renders server.properties from KAFKA_* with the very class that Apache's image uses, formats the directory of the data if it
// is new, and becomes the broker. With the argument archive, when the image is built, it starts and ends one to archive its classes.
func kafka(args []string) error {
	archive := len(args) == 1 && args[0] == "archive"
	if err := configure(archive); err != nil {
		return err
	}
	broker := append(flags(kafkaArchive, archive), "kafka.Kafka", filepath.Join(config, "server.properties"))
	if archive {
		return errors.Join(once(broker), forget(data), forget(config))
	}
	return become(java, broker...)
}

// configured is there once this container has configured itself: it never gets another environment.
const configured = config + "/configured"

func configure(archive bool) error {
	if _, err := os.Stat(configured); err == nil {
		return nil
	}
	if err := os.Setenv("CLUSTER_ID", first(os.Getenv("CLUSTER_ID"), "5L6g3nShT-eMCtK--X86sw")); err != nil {
		return err
	}
	setup := append(flags(setupArchive, archive), "kafka.docker.KafkaDockerWrapper", "setup",
		"--default-configs-dir", defaults, "--mounted-configs-dir", mounted, "--final-configs-dir", config)
	out, err := exec.CommandContext(context.Background(), java, setup...).CombinedOutput() //nolint:gosec // a program of the image
	if err != nil && !strings.Contains(strings.ToLower(string(out)), "already formatted") {
		return fmt.Errorf("configure Kafka: %w\n%s", err, out)
	}
	return os.WriteFile(configured, nil, 0o600)
}

// flags are those of Java, with the archive to use, or to make.
func flags(archive string, fresh bool) []string {
	all := []string{"-Xshare:auto", "-XX:SharedArchiveFile=" + archive}
	if fresh {
		all = []string{"-XX:ArchiveClassesAtExit=" + archive}
	}
	all = append(all, strings.Fields(first(os.Getenv("KAFKA_HEAP_OPTS"), "-Xms64m -Xmx256m"))...)
	all = append(all, strings.Fields(first(os.Getenv("KAFKA_JVM_PERFORMANCE_OPTS"), "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"))...)
	all = append(all, strings.Fields(os.Getenv("KAFKA_OPTS"))...)
	return append(all, "-Dlog4j2.configurationFile="+filepath.Join(defaults, "log4j2.xml"), "-cp", filepath.Join(home, "libs", "*"))
}

func first(value, other string) string {
	if value != "" {
		return value
	}
	return other
}

// startWithin bounds the one start of a broker when the image is built.
const startWithin = 2 * time.Minute

// once is a broker that ends as soon as it listens.
func once(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	broker := exec.CommandContext(ctx, java, args...) //nolint:gosec // a program of the image
	broker.Stdout, broker.Stderr = os.Stdout, os.Stderr
	if err := broker.Start(); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !listens(ctx) && ctx.Err() == nil {
		<-tick.C
	}
	if err := broker.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := broker.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 128+int(syscall.SIGTERM) {
		return nil // how Java ends by the signal
	}
	return err
}

// forget empties the directory: a volume begins with what the image has in it.
func forget(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func listens(ctx context.Context) bool {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", "127.0.0.1:9092")
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}
