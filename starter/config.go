package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ai-backlog/ingest/client"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
	"github.com/ai-backlog/ingest/settings"
)

// Config is what the commands read that ask Kafka.
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

// loadClient reads the configuration of send's client. Without the other way it
// uses Kafka only.
func loadClient(fallback bool) (client.Config, error) {
	if !fallback {
		var c client.Config
		read := settings.Read(&c)
		c.FallbackAfter = -1
		return c, errors.Join(read, c.Validate())
	}
	c, err := client.Load()
	if c.FallbackAfter < 0 {
		err = errors.Join(err, fmt.Errorf("FALLBACK_AFTER is %s, which is never: give a time, or leave out --fallback", c.FallbackAfter))
	}
	return c, err
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
