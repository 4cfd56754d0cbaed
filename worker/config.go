package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"

	"github.com/caarlos0/env/v11"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
)

// Config is what the worker reads from its environment.
type Config struct {
	Kafka      kafka.Config
	ClickHouse clickhouse.Config
	Temporal   client.Options

	TopicLogs    string     `env:"TOPIC_LOGS" envDefault:"ai_backlog_logs"`
	TopicMetrics string     `env:"TOPIC_METRICS" envDefault:"ai_backlog_metrics"`
	TopicEvents  string     `env:"TOPIC_EVENTS" envDefault:"ai_backlog_events"`
	InsertsAt    int        `env:"WORKER_INSERTS" envDefault:"3"`
	MemoryLimit  int64      `env:"WORKER_MEMORY_MIB" envDefault:"500"`
	TTLDays      int        `env:"TTL_DAYS" envDefault:"0"`
	MetricsAddr  string     `env:"METRICS_ADDR" envDefault:"127.0.0.1:9465"`
	LogLevel     slog.Level `env:"LOG_LEVEL" envDefault:"info"`
}

// load reads the configuration and reports every problem at once.
func load(args []string) (Config, error) {
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "worker runs workflows and activities. It is configured by environment variables: see the README's table.")
	}
	var cfg Config
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	errs := []error{env.Parse(&cfg)}
	if errs[0] == nil {
		errs = append(errs, cfg.Kafka.Validate(), cfg.ClickHouse.Validate(), cfg.validate())
	}
	var err error
	cfg.Temporal, err = envconfig.LoadDefaultClientOptions()
	if err != nil {
		errs = append(errs, fmt.Errorf("TEMPORAL_*: %w", err))
	}
	return cfg, errors.Join(errs...)
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
	return errors.Join(errs...)
}

func (c Config) kinds() map[string]record.Kind {
	return map[string]record.Kind{c.TopicLogs: record.Log, c.TopicMetrics: record.Metric, c.TopicEvents: record.Event}
}

func (c Config) topics() []string { return []string{c.TopicLogs, c.TopicMetrics, c.TopicEvents} }
