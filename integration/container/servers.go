package container

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ai-backlog/ingest/devstack/clickhouse/config"
	"github.com/ai-backlog/ingest/devstack/stack"
)

// ClickHouse is one ClickHouse, not yet started, configured as devstack's: XML files in users.d and config.d in its directory are read
// at each start.
func (d *Docker) ClickHouse(o stack.ClickHouseOptions) (*Server, error) {
	s, err := newServer(d, stack.ClickHouseName, ClickHouseVariable, o.Dir, true)
	if err != nil {
		return nil, err
	}
	told := config.Options{Dir: s.dir, Port: s.port, HTTPPort: s.http, Memory: o.Memory}
	if told.Memory == 0 {
		told.Memory = config.DefaultMemory
	}
	s.prepare = func() error {
		_, err := config.Write(told)
		return err
	}
	s.env = map[string]string{
		"CLICKHOUSE_CONFIG": filepath.Join(s.dir, "config.xml"),
		// Started as root, the image becomes its own user, who cannot read the test's files.
		"CLICKHOUSE_UID": strconv.Itoa(os.Getuid()),
		"CLICKHOUSE_GID": strconv.Itoa(os.Getgid()),
	}
	s.ready = func(ctx context.Context) error { return stack.AskClickHouse(ctx, s.Addr(), s.HTTPAddr()) }
	return s, nil
}

// Temporal is one development server of Temporal's CLI, not yet started, with the namespace default and the search attributes of the
// ingest. It is the one image that needs no database of its own, and what it keeps survives its death.
func (d *Docker) Temporal(o stack.TemporalOptions) (*Server, error) {
	s, err := newServer(d, stack.TemporalName, TemporalVariable, o.Dir, !o.NoUI)
	if err != nil {
		return nil, err
	}
	s.args = append(stack.StartDev(s.dir, s.port, s.http), "--log-level", "error")
	s.env = map[string]string{"HOME": s.dir}
	s.ready = func(ctx context.Context) error { return stack.AskTemporal(ctx, s.Addr(), s.HTTPAddr()) }
	return s, nil
}

// Kafka is a cluster of that many brokers, not yet started, each a broker and a voter of the quorum. Start them at once. Their data
// are in volumes: Kafka's own image cannot be run as another user.
func (d *Docker) Kafka(o stack.KafkaOptions, brokers int) ([]*Server, error) {
	all, at := make([]*Server, brokers), make([]stack.Broker, brokers)
	for i := range all {
		s, err := newServer(d, stack.KafkaName, KafkaVariable, "", false)
		if err != nil {
			return nil, err
		}
		controller, _, err := stack.ReservePort()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", stack.KafkaName, err)
		}
		all[i], at[i] = s, stack.Broker{Addr: s.Addr(), Controller: loopback(controller)}
	}
	for i, s := range all {
		s.env = kafkaEnv(stack.ApacheProperties(o, at, i+1))
		s.env["KAFKA_LOG_DIRS"] = "/var/lib/kafka/data" // a volume of the image's
		s.ready = func(ctx context.Context) error { return stack.AskApache(ctx, o, s.Addr(), i+1, brokers) }
	}
	return all, nil
}

// kafkaEnv is the contract of Kafka's own image: each line of server.properties is a variable, and Java has its flags from two others.
func kafkaEnv(properties string) map[string]string {
	env := map[string]string{"CLUSTER_ID": "ai-backlog-containers0"}
	for line := range strings.Lines(properties) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			env["KAFKA_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = value
		}
	}
	var heap, flags []string
	for _, flag := range stack.ApacheFlags() {
		if strings.HasPrefix(flag, "-Xm") {
			heap = append(heap, flag)
		} else {
			flags = append(flags, flag)
		}
	}
	env["KAFKA_HEAP_OPTS"], env["KAFKA_JVM_PERFORMANCE_OPTS"] = strings.Join(heap, " "), strings.Join(flags, " ")
	return env
}
