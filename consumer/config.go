package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"regexp"
	"strconv"
	"time"

	"github.com/caarlos0/env/v11"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka"
)

// Config is what the consumer reads from its environment.
type Config struct {
	Kafka    kafka.Config
	Temporal client.Options

	TopicLogs      string        `env:"TOPIC_LOGS" envDefault:"ai_backlog_logs"`
	TopicMetrics   string        `env:"TOPIC_METRICS" envDefault:"ai_backlog_metrics"`
	TopicEvents    string        `env:"TOPIC_EVENTS" envDefault:"ai_backlog_events"`
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
	flags := flag.NewFlagSet("consumer", flag.ContinueOnError)
	flags.Usage = func() {
		_, _ = fmt.Fprintln(flags.Output(), "consumer plans batches. It is configured by environment variables: see the README's table.")
	}
	var cfg Config
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	errs := []error{named(env.Parse(&cfg))}
	if errs[0] == nil { // what did not parse is zero, and would be reported twice
		errs = append(errs, cfg.validate())
	}
	errs = append(errs, cfg.Kafka.Validate())
	var err error
	if cfg.Temporal, err = envconfig.LoadDefaultClientOptions(); err != nil {
		errs = append(errs, fmt.Errorf("TEMPORAL_*: %w", err))
	}
	return cfg, errors.Join(errs...)
}

// named gives each value that does not parse its variable's name.
func named(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	var errs []error
	for _, e := range all.Errors {
		var p env.ParseError
		if errors.As(e, &p) {
			if f, ok := reflect.TypeFor[Config]().FieldByName(p.Name); ok {
				e = fmt.Errorf("%s is not a valid %s: %w", f.Tag.Get("env"), words[p.Type], p.Err)
			}
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

var words = map[reflect.Type]string{
	reflect.TypeFor[int]():           "number",
	reflect.TypeFor[int64]():         "number",
	reflect.TypeFor[time.Duration](): "duration, like 1s",
	reflect.TypeFor[slog.Level]():    "level: give debug, info, warn or error",
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
	seen := map[string]string{}
	for _, t := range [][2]string{{"TOPIC_LOGS", c.TopicLogs}, {"TOPIC_METRICS", c.TopicMetrics}, {"TOPIC_EVENTS", c.TopicEvents}} {
		add(!topicName.MatchString(t[1]), "%s is %q: give a topic's name, of letters, digits, dots, dashes and underscores, 249 at most", t[0], t[1])
		add(seen[t[1]] != "", "%s is %q, which %s is too: give each kind a topic of its own", t[0], t[1], seen[t[1]])
		seen[t[1]] = t[0]
	}
	if c.MetricsAddr != "off" {
		_, port, err := net.SplitHostPort(c.MetricsAddr)
		_, bad := strconv.ParseUint(port, 10, 16)
		add(err != nil || bad != nil, "METRICS_ADDR is %q: give host:port, or off", c.MetricsAddr)
	}
	return errors.Join(errs...)
}

// topicName is what Kafka allows; a name is part of workflow IDs.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (c Config) topics() []string { return []string{c.TopicLogs, c.TopicMetrics, c.TopicEvents} }

// limits are written into every batch: a block is at most a design batch, in
// memory too.
func (c Config) limits() batch.Limits {
	return batch.Limits{BlockRecords: min(c.BatchRecords, 100_000), BlockBytes: 64 << 20}
}
