package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/frontend"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/monitor"
	"github.com/ai-backlog/ingest/settings"
)

// Config is what the consumer reads from its environment.
type Config struct {
	Kafka    kafka.Config
	Topics   settings.Topics
	Temporal client.Options
	Tracing  monitor.Tracing

	BatchRecords   int64         `env:"BATCH_RECORDS" envDefault:"100000"`
	BatchBytes     int64         `env:"BATCH_BYTES" envDefault:"67108864"`
	BatchLinger    time.Duration `env:"BATCH_LINGER" envDefault:"1s"`
	BatchWindow    int           `env:"BATCH_WINDOW" envDefault:"16"`
	SessionTimeout time.Duration `env:"KAFKA_SESSION_TIMEOUT" envDefault:"10s"`
	MetricsAddr    string        `env:"METRICS_ADDR" envDefault:"127.0.0.1:9464"`
	LogLevel       slog.Level    `env:"LOG_LEVEL" envDefault:"info"`
}

// load reads the configuration and reports every problem at once.
func load(args []string) (Config, error) {
	var cfg Config
	if len(args) > 0 {
		return cfg, errors.New("consumer plans batches and takes no arguments but --version: it is configured by environment variables, see the README's table")
	}
	read := settings.Read(&cfg)
	var err error
	cfg.Temporal, err = frontend.Options()
	return cfg, errors.Join(read, cfg.Kafka.Validate(), cfg.Topics.Validate(), cfg.Tracing.Validate(), cfg.validate(), err)
}

func (c Config) validate() error {
	var errs []error
	add := func(bad bool, f string, a ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(f, a...))
		}
	}
	add(c.BatchRecords < 1 || c.BatchRecords > 1_000_000, "BATCH_RECORDS is %d: give a number from 1 to 1000000", c.BatchRecords)
	add(c.BatchBytes < 1<<20, "BATCH_BYTES is %d: give at least 1048576", c.BatchBytes)
	add(c.BatchLinger < 0 || c.BatchLinger > time.Hour, "BATCH_LINGER is %s: give a duration up to 1h, like 1s", c.BatchLinger)
	add(c.BatchWindow < 1 || c.BatchWindow > 64, "BATCH_WINDOW is %d: give a number from 1 to 64", c.BatchWindow)
	add(c.SessionTimeout < 6*time.Second, "KAFKA_SESSION_TIMEOUT is %s: brokers accept no less than 6s", c.SessionTimeout)
	return errors.Join(append(errs, settings.MetricsAddr(c.MetricsAddr))...)
}

// limits are written into every batch: a block is at most a design batch, in
// memory too.
func (c Config) limits() batch.Limits {
	return batch.Limits{BlockRecords: min(c.BatchRecords, 100_000), BlockBytes: batch.BlockBytes}
}
