package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
	"github.com/ai-backlog/ingest/settings"
)

// Config is what send reads from its environment.
type Config struct {
	Kafka  kafka.Config
	Topics settings.Topics
}

// load reads the configuration and reports every problem at once.
func load() (Config, error) {
	var c Config
	read := settings.Read(&c)
	return c, errors.Join(read, c.Kafka.Validate(), c.Topics.Validate())
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
