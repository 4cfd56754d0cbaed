package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/fault"
	"github.com/ai-backlog/ingest/settings"
)

// Config is what is done, and for how long.
type Config struct {
	Seconds int      `env:"CHAOS_SECONDS" envDefault:"600"`
	Records int64    `env:"CHAOS_RECORDS" envDefault:"0"`
	Rate    int      `env:"CHAOS_RATE" envDefault:"3000"`
	Seed    uint64   `env:"CHAOS_SEED"`
	Names   []string `env:"CHAOS_FAULTS"`
	Old     string   `env:"CHAOS_OLD"`
	Out     string   `env:"CHAOS_OUT"`

	kafka  string // which one
	faults []fault.Fault
	log    io.Writer // what happens, as it does
	table  io.Writer // the result
}

// read reads the configuration and reports every problem at once.
func read() (Config, error) {
	cfg := Config{Seed: uint64(rand.Uint32()), log: os.Stderr, table: os.Stdout} //nolint:gosec // any seed will do
	return cfg, errors.Join(settings.Read(&cfg), cfg.prepare())
}

// prepare checks, and finds the faults.
func (c *Config) prepare() (err error) {
	var errs []error
	if c.Seconds < 10 || c.Seconds > 7*86400 {
		errs = append(errs, fmt.Errorf("CHAOS_SECONDS is %d: give 10 or more, up to a week", c.Seconds))
	}
	if c.Rate < 10 || c.Rate > 100_000 {
		errs = append(errs, fmt.Errorf("CHAOS_RATE is %d: give 10 to 100000 records a second", c.Rate))
	}
	if c.Records < 0 {
		errs = append(errs, fmt.Errorf("CHAOS_RECORDS is %d: give how many records to send at least", c.Records))
	}
	if c.kafka, err = stack.ChosenKafka(); err != nil {
		errs = append(errs, err)
	}
	if c.Out != "" { // now: an hour is too long to learn of a typo
		f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			errs = append(errs, fmt.Errorf("CHAOS_OUT: %w: give a file that can be written", err))
		} else {
			_ = f.Close()
		}
	}
	for i, name := range c.Names {
		c.Names[i] = strings.TrimSpace(name)
	}
	if c.faults, err = fault.Named(c.Names...); err != nil {
		errs = append(errs, fmt.Errorf("CHAOS_FAULTS: %w", err))
	}
	return errors.Join(errs...)
}

// longest is how long a fault lasts at most, from a second: such that all of them alone take about half of the time.
func (c *Config) longest() time.Duration {
	share := time.Duration(c.Seconds) * time.Second / time.Duration(2*len(c.faults))
	return min(max(share, 3*time.Second), 30*time.Second)
}

// lasting is the length of one fault.
func (c *Config) lasting(rng *rand.Rand) time.Duration {
	return time.Second + time.Duration(rng.Int64N(int64(c.longest()-time.Second)))
}
