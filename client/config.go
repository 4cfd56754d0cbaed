package client

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
	"github.com/ai-backlog/ingest/settings"
)

// Config is what a client needs to know. What is zero has its default, which is
// the one of the environment variable, so that Config{} writes to servers on
// this machine. Load reads all of it from the environment.
type Config struct {
	Kafka      kafka.Config
	Topics     settings.Topics
	ClickHouse clickhouse.Config // where records go when Kafka is away

	// Compression of what goes to Kafka: zstd, lz4, snappy, gzip or none.
	Compression string `env:"KAFKA_COMPRESSION" envDefault:"lz4"`
	// FallbackAfter is how long Kafka may leave everything unanswered before
	// records go straight to ClickHouse: at least a second. Negative: they never
	// do, and wait for Kafka.
	FallbackAfter time.Duration `env:"FALLBACK_AFTER" envDefault:"5s"`
	// BufferBytes bounds the records that are accepted and stored nowhere yet, 150
	// bytes of bookkeeping each included; a call waits while it is full. A
	// process takes up to twice as much for them, and more where the machine
	// leaves Go's collector no time: one that has to stay small sets GOMEMLIMIT
	// (150MiB goes with the default).
	BufferBytes int64 `env:"CLIENT_BUFFER_BYTES" envDefault:"67108864"`

	// Service and AgentID are those of records that name none.
	Service string `env:"SERVICE_NAME"`
	AgentID string `env:"AGENT_ID"`

	// Logger is told of each change of the way that records take. It must not lead
	// back into the client. Nil: lines of text on standard error.
	Logger *slog.Logger
	// OnRefused is called for a record that was accepted and that neither server
	// will ever take: Kafka finds it too large though the topic's limit, as far as
	// it could be asked for, allowed it, and it cannot go straight to ClickHouse.
	// It must not call the client. Nil: the log has a line for each.
	OnRefused func(kind record.Kind, value []byte, err error)
}

const (
	// leastBuffer has room for a few of the largest records.
	leastBuffer = 4 << 20
	// leastFallback is longer than a healthy Kafka leaves a record unanswered.
	leastFallback = time.Second
)

// Load is the configuration that the environment describes; its error tells
// every problem at once.
func Load() (Config, error) {
	var c Config
	err := settings.Read(&c)
	if c.FallbackAfter == 0 {
		err = errors.Join(err, fmt.Errorf("FALLBACK_AFTER is 0s: give at least %s, or -1s for never", leastFallback))
	}
	return c, errors.Join(err, c.Validate())
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() (Config, error) {
	err := env.ParseWithOptions(&c, env.Options{Environment: map[string]string{}, SetDefaultsForZeroValuesOnly: true})
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return c, err
}

// Validate reports every problem at once, each by the name of its variable.
func (c Config) Validate() error {
	errs := []error{c.Kafka.Validate(), c.Topics.Validate()}
	if c.falls() {
		errs = append(errs, c.ClickHouse.Validate())
	}
	if _, ok := codecs[c.Compression]; !ok {
		errs = append(errs, fmt.Errorf("KAFKA_COMPRESSION is %q: give one of %s", c.Compression, strings.Join(slices.Sorted(maps.Keys(codecs)), ", ")))
	}
	if c.FallbackAfter > 0 && c.FallbackAfter < leastFallback {
		errs = append(errs, fmt.Errorf("FALLBACK_AFTER is %s: give at least %s, or -1s for never", c.FallbackAfter, leastFallback))
	}
	if c.BufferBytes < leastBuffer {
		errs = append(errs, fmt.Errorf("CLIENT_BUFFER_BYTES is %d: give at least %d", c.BufferBytes, leastBuffer))
	}
	return errors.Join(errs...)
}

// silence is for how long Kafka may leave everything unanswered before it is told
// of.
func (c Config) silence() time.Duration {
	if c.falls() {
		return c.FallbackAfter
	}
	return 5 * time.Second
}

// falls tells whether there is another way than Kafka.
func (c Config) falls() bool { return c.FallbackAfter >= 0 }

// codecs are the compressions by name.
var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}
