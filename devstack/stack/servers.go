//go:build unix

package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The names of the servers: of their programs, logs, and in Prepare and New. LauncherName is ClickHouse's launcher without the
// library, which is all that an installed clickhouse needs. ApacheKafkaName is the real thing in the place of KafkaName's stand-in.
const (
	LauncherName    = "launcher"
	KafkaName       = "kafka"
	ApacheKafkaName = "apache-kafka"
	ClickHouseName  = "clickhouse"
	TemporalName    = "temporal"
)

// ChosenKafka is the name of the Kafka that the environment wants tests to run on.
func ChosenKafka() (string, error) {
	switch choice := os.Getenv(kafkaVariable); choice {
	case "":
		return KafkaName, nil
	case "apache":
		return ApacheKafkaName, nil
	default:
		return "", fmt.Errorf("%s=%s: want apache, or leave it unset for the stand-in", kafkaVariable, choice)
	}
}

// kafkaVariable chooses the Kafka of tests.
const kafkaVariable = "INTEGRATION_KAFKA"

// Names are the servers of a stack, unless others are named, in the order in which they are shown.
func Names() []string { return []string{KafkaName, ClickHouseName, TemporalName} }

// ClickHouseOptions say how to run a ClickHouse.
type ClickHouseOptions struct {
	Binaries  Binaries // from Prepare
	Dir       string   // data and log; the same directory means the same data
	Port      int      // native protocol; 0: a free one, kept for the life of this process
	HTTPPort  int      // HTTP; 0: as above
	Memory    uint64   // bytes until queries are refused; 0: 6 GB
	Installed string   // a clickhouse program to run in libchdb's place, with the same configuration; "": libchdb
}

// ClickHouse is one ClickHouse, not yet started: user default, no password, loopback only. XML files in users.d and config.d
// in Dir are merged into its configuration at each start; users cannot be made by SQL.
func ClickHouse(o ClickHouseOptions) (*Server, error) {
	s, err := newServer(ClickHouseName, o.Binaries.ClickHouse, o.Dir, o.Port, &o.HTTPPort, 0)
	if err != nil {
		return nil, err
	}
	args := []string{
		"-lib", o.Binaries.LibCHDB, "-data", s.dir,
		"-port", strconv.Itoa(s.port.port), "-http-port", strconv.Itoa(s.http.port),
	}
	if o.Installed != "" {
		args = append(args, "-installed", o.Installed)
	}
	if o.Memory != 0 {
		args = append(args, "-memory", strconv.FormatUint(o.Memory, 10))
	}
	s.args = func() []string { return args }
	s.ready = func(ctx context.Context) error { return AskClickHouse(ctx, s.Addr(), s.HTTPAddr()) }
	return s, nil
}

// TemporalOptions say how to run a Temporal.
type TemporalOptions struct {
	Binaries  Binaries      // from Prepare
	Dir       string        // data and log; the same directory means the same workflows
	Port      int           // frontend; 0: a free one, kept for the life of this process
	UIPort    int           // UI; 0: as above
	NoUI      bool          // saves a port and some memory
	Retention time.Duration // of closed workflows in the namespace default, fixed when Dir is new; 0: 7 days
	Installed string        // Temporal's own CLI to run (its start-dev) in place of ours, slower and with its settings; "": ours
}

// Temporal is one Temporal, not yet started, with the namespace default and the search attributes of the ingest.
func Temporal(o TemporalOptions) (*Server, error) {
	ui := &o.UIPort
	if o.NoUI {
		ui = nil
	}
	program := cmp.Or(o.Installed, o.Binaries.Temporal)
	s, err := newServer(TemporalName, program, o.Dir, o.Port, ui, 4)
	if err != nil {
		return nil, err
	}
	s.ready = func(ctx context.Context) error { return AskTemporal(ctx, s.Addr(), s.HTTPAddr()) }
	if o.Installed != "" {
		args := append(StartDev(s.dir, s.port.port, s.http.port), "--log-level", "error")
		s.args = func() []string { return args }
		return s, nil
	}
	s.args = func() []string {
		internal := make([]string, len(s.spare))
		for i, r := range s.spare {
			internal[i] = strconv.Itoa(r.port)
		}
		args := []string{
			"-data", s.dir, "-port", strconv.Itoa(s.port.port), "-ui-port", strconv.Itoa(s.http.port),
			"-internal-ports", strings.Join(internal, ","),
		}
		if o.Retention != 0 {
			args = append(args, "-retention", o.Retention.String())
		}
		return args
	}
	return s, nil
}

// StartDev are the arguments that make Temporal's CLI as much like our server as it can be, with its data in dir; port 0 of the UI
// is none.
func StartDev(dir string, port, ui int) []string {
	args := []string{
		"server", "start-dev", "--ip", "127.0.0.1", "--port", strconv.Itoa(port),
		"--db-filename", filepath.Join(dir, "start-dev.db"),
		"--dynamic-config-value", "frontend.WorkflowPauseEnabled=true",
		"--search-attribute", "IngestTopic=Keyword",
		"--search-attribute", "IngestState=Keyword",
		"--search-attribute", "IngestError=Keyword",
		"--search-attribute", "IngestRecords=Int",
		"--search-attribute", "IngestDeadLetters=Int",
	}
	if ui == 0 {
		return append(args, "--headless")
	}
	return append(args, "--ui-port", strconv.Itoa(ui))
}

// KafkaOptions say how to run the stand-in for Kafka, or Apache Kafka.
type KafkaOptions struct {
	Binaries   Binaries // from Prepare
	Dir        string   // data and log; the same directory means the same topics, IDs, records and offsets
	Port       int      // 0: a free one, kept for the life of this process
	Advertise  string   // host:port that clients are told to come by; "": Addr. Who reaches the broker by Addr is told it, too. Not for a cluster
	Topics     []string // made if missing; nil: ai_backlog_logs, ai_backlog_metrics, ai_backlog_events; empty: none
	Partitions int      // of topics that are made; 0: 4
	AutoCreate bool     // make a topic when a client asks for one that does not exist
	NoSync     bool     // leave it to the system when records reach the disk: faster, and still safe against SIGKILL; Apache's always does

	Secure *Security // of Apache Kafka: listeners with TLS and logins; nil: none
}

// topics are those to make, and how many partitions each has.
func (o KafkaOptions) topics() (names []string, partitions int) {
	names = o.Topics
	if names == nil {
		names = []string{"ai_backlog_logs", "ai_backlog_metrics", "ai_backlog_events"}
	}
	return names, cmp.Or(o.Partitions, 4)
}

// Kafka is one stand-in for Kafka, not yet started.
func Kafka(o KafkaOptions) (*Server, error) {
	s, err := newServer(KafkaName, o.Binaries.Kafka, o.Dir, o.Port, nil, 0)
	if err != nil {
		return nil, err
	}
	topics, partitions := o.topics()
	args := []string{
		"-data", filepath.Join(s.dir, "data"), "-port", strconv.Itoa(s.port.port),
		"-auto-create=" + strconv.FormatBool(o.AutoCreate), "-sync=" + strconv.FormatBool(!o.NoSync),
		"-topics", strings.Join(topics, ","), "-partitions", strconv.Itoa(partitions), "-advertise", o.Advertise,
	}
	s.args = func() []string { return args }
	s.ready = func(ctx context.Context) error { return AskKafka(ctx, s.Addr()) }
	return s, nil
}

// newServer reserves the ports: the main one, one for HTTP if http is not nil, and spare ones.
func newServer(name, program, dir string, port int, http *int, spare int) (*Server, error) {
	s := &Server{name: name, program: program}
	if program == "" || dir == "" {
		return nil, fmt.Errorf("%s: program and Dir are required", name)
	}
	var err error
	if s.dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var failed error
	s.port, err = reserve(port)
	failed = errors.Join(failed, err)
	if http != nil {
		s.http, err = reserve(*http)
		failed = errors.Join(failed, err)
	}
	for range spare {
		r, err := reserve(0)
		failed = errors.Join(failed, err)
		s.spare = append(s.spare, r)
	}
	if failed != nil {
		s.Release()
		return nil, fmt.Errorf("%s: %w", name, failed)
	}
	return s, nil
}

// Release gives the ports of a stopped server to others; the end of the process does the same.
func (s *Server) Release() {
	for _, r := range append(s.firm(), s.spare...) {
		r.release()
	}
}
