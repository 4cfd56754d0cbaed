package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/frontend"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/monitor"
	"github.com/ai-backlog/ingest/settings"
)

// Config is what the worker reads from its environment.
type Config struct {
	Kafka      kafka.Config
	Topics     settings.Topics
	ClickHouse clickhouse.Config
	Temporal   client.Options
	Tracing    monitor.Tracing

	InsertsAt   int   `env:"WORKER_INSERTS" envDefault:"3"`
	MemoryLimit int64 `env:"WORKER_MEMORY_MIB" envDefault:"400"`
	TTLDays     int   `env:"TTL_DAYS" envDefault:"0"`

	LetterPartitions int32         `env:"DLQ_PARTITIONS" envDefault:"1"`
	LetterRetention  time.Duration `env:"DLQ_RETENTION" envDefault:"0s"`

	MetricsAddr       string     `env:"METRICS_ADDR" envDefault:"127.0.0.1:9465"`
	ClickHouseMetrics bool       `env:"CLICKHOUSE_METRICS" envDefault:"true"`
	LogLevel          slog.Level `env:"LOG_LEVEL" envDefault:"info"`
}

// load reads the configuration and reports every problem at once.
func load(args []string) (Config, error) {
	var cfg Config
	if len(args) > 0 {
		return cfg, errors.New("worker runs workflows and activities and takes no arguments but --version: it is configured by environment variables, see the README's table")
	}
	read := settings.Read(&cfg)
	var err error
	cfg.Temporal, err = frontend.Options()
	return cfg, errors.Join(read, cfg.Kafka.Validate(), cfg.ClickHouse.Validate(), cfg.Topics.Validate(), cfg.Tracing.Validate(), cfg.validate(), err)
}

func (c Config) validate() error {
	var errs []error
	if c.InsertsAt < 1 || c.InsertsAt > 64 {
		errs = append(errs, fmt.Errorf("WORKER_INSERTS is %d: give a number from 1 to 64", c.InsertsAt))
	}
	if c.MemoryLimit < 200 {
		errs = append(errs, fmt.Errorf("WORKER_MEMORY_MIB is %d: three blocks and the runtime need at least 200", c.MemoryLimit))
	}
	if c.TTLDays < 0 {
		errs = append(errs, fmt.Errorf("TTL_DAYS is %d: give the days to keep rows, or 0 to keep them for ever", c.TTLDays))
	}
	if c.LetterPartitions < 1 || c.LetterPartitions > 1000 {
		errs = append(errs, fmt.Errorf("DLQ_PARTITIONS is %d: give a number from 1 to 1000", c.LetterPartitions))
	}
	if c.LetterRetention < 0 || c.LetterRetention > 0 && c.LetterRetention < time.Minute {
		errs = append(errs, fmt.Errorf("DLQ_RETENTION is %s: give a minute or more, like 168h, or 0s for the broker's default", c.LetterRetention))
	}
	return errors.Join(append(errs, settings.MetricsAddr(c.MetricsAddr))...)
}
