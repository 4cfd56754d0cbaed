//go:build unix

package stack_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// apache skips a test that the stand-in cannot serve.
func apache(t *testing.T) {
	t.Helper()
	if names()[0] != stack.ApacheKafkaName {
		t.Skip("INTEGRATION_KAFKA is not apache: make test-kafka")
	}
}

func TestAMachineWithoutJavaOrMavenIsToldInALineHowToGoOn(t *testing.T) {
	java := func(dir, version string) {
		script := "#!/bin/sh\necho 'openjdk version \"" + version + "\"' >&2\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "java"), []byte(script), 0o700))
	}
	for name, c := range map[string]struct{ java, want string }{
		"without Java":     {"", "java is needed to run Apache Kafka: install Java 17 or newer and Maven, or use the stand-in, which needs neither (unset INTEGRATION_KAFKA)"},
		"with an old Java": {"11.0.2", "is Java 11, Apache Kafka needs 17 or newer"},
		"without Maven":    {"21.0.1", "mvn is needed to download Apache Kafka, once: install Maven, or use the stand-in"},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			if c.java != "" {
				java(path, c.java)
			}
			t.Setenv("PATH", path)
			t.Setenv("JAVA_HOME", "")
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			var log bytes.Buffer
			_, err := stack.Prepare(t.Context(), &log, stack.ApacheKafkaName)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestAnUnknownChoiceOfKafkaIsAnError(t *testing.T) {
	t.Setenv("INTEGRATION_KAFKA", "redpanda")
	_, err := stack.ChosenKafka()
	require.ErrorContains(t, err, "INTEGRATION_KAFKA=redpanda: want apache")
}

func TestApacheKafkaIsKeptForTheNextStart(t *testing.T) {
	apache(t)
	var log bytes.Buffer
	binaries(t)
	again, err := stack.Prepare(t.Context(), &log, stack.ApacheKafkaName)
	require.NoError(t, err)
	require.Empty(t, log.String())
	require.FileExists(t, again.KafkaArchive)
}

func TestThreeBrokersKeepWhatWasAcknowledgedWhileAnyOfThemIsAway(t *testing.T) {
	apache(t)
	const partitions = 2
	servers, err := stack.ApacheKafkaCluster(stack.KafkaOptions{Binaries: binaries(t), Dir: t.TempDir(), Partitions: partitions}, 3)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, all(servers, (*stack.Server).Kill)) })
	require.NoError(t, all(servers, func(s *stack.Server) error { return s.Start(t.Context()) }))
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr())
	}
	c := client(t, servers[0], kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(100*time.Millisecond))
	n := 0
	produce := func() {
		t.Helper()
		for range 20 {
			record := &kgo.Record{Topic: logs, Partition: int32(n % partitions), Value: fmt.Append(nil, n)}
			require.NoError(t, c.ProduceSync(t.Context(), record).FirstErr())
			n++
		}
	}
	whole := func() bool {
		return !slices.ContainsFunc(topic(t, c, logs).Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return len(p.ISR) < 3 })
	}
	for _, s := range servers {
		eventually(t, "every broker has everything", whole)
		produce()
		require.NoError(t, s.Kill())
		produce()
		require.NoError(t, s.Start(t.Context()))
	}
	eventually(t, "every broker has everything", whole)
	require.NoError(t, servers[0].Freeze())
	produce()
	require.NoError(t, servers[0].Thaw())

	from := map[int32]kgo.Offset{}
	for p := range int32(partitions) {
		from[p] = kgo.NewOffset().AtStart()
	}
	reader := client(t, servers[0], kgo.SeedBrokers(addrs...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{logs: from}))
	seen := map[string]int{}
	for len(seen) < n {
		fetches := reader.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
	}
	for value, times := range seen {
		require.Equal(t, 1, times, value)
	}
}

// all does it to all servers at once.
func all(servers []*stack.Server, do func(*stack.Server) error) error {
	failed := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { failed[i] = do(s) })
	}
	wg.Wait()
	return errors.Join(failed...)
}
