package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
)

// Config is what send reads from its environment.
type Config struct {
	Kafka        kafka.Config
	TopicLogs    string `env:"TOPIC_LOGS" envDefault:"ai_backlog_logs"`
	TopicMetrics string `env:"TOPIC_METRICS" envDefault:"ai_backlog_metrics"`
	TopicEvents  string `env:"TOPIC_EVENTS" envDefault:"ai_backlog_events"`
}

// load reads the configuration and reports every problem at once.
func load() (Config, error) {
	c, err := env.ParseAs[Config]()
	if err != nil {
		return c, err
	}
	return c, c.Validate()
}

// Validate lists every problem in one error.
func (c Config) Validate() error {
	errs := []error{c.Kafka.Validate()}
	for _, t := range [][2]string{{"TOPIC_LOGS", c.TopicLogs}, {"TOPIC_METRICS", c.TopicMetrics}, {"TOPIC_EVENTS", c.TopicEvents}} {
		if t[1] == "" {
			errs = append(errs, fmt.Errorf("%s is empty", t[0]))
		}
	}
	return errors.Join(errs...)
}

// topic is where records of the kind go.
func (c Config) topic(k record.Kind) string {
	switch k {
	case record.Metric:
		return c.TopicMetrics
	case record.Event:
		return c.TopicEvents
	case record.Log:
	}
	return c.TopicLogs
}

// kindOf is the kind of that name.
func kindOf(name string) (record.Kind, error) {
	for _, k := range record.Kinds() {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("--kind %q is none of %s", name, strings.Join(kindNames(), ", "))
}

func kindNames() []string {
	var names []string
	for _, k := range record.Kinds() {
		names = append(names, k.String())
	}
	return names
}
