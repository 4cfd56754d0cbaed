// Command soak runs the whole pipeline on Apache Kafka for an hour and a half,
// with a fault every half minute, and plots what should be flat at the end:
// memory, goroutines and open files of the programs, the size of Temporal's
// database, ClickHouse's parts. It fails if something grows, or if the books are
// not exact.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/caarlos0/env/v11"
)

// options are from the environment.
type options struct {
	Minutes int           `env:"SOAK_MINUTES" envDefault:"90"`
	Rate    int           `env:"SOAK_RATE" envDefault:"10000"` // records/s
	Every   time.Duration `env:"SOAK_FAULT_EVERY" envDefault:"30s"`
	Faults  []string      `env:"SOAK_FAULTS"` // by name; none: all but memory-limit, which would be what the picture shows
	Seed    uint64        `env:"SOAK_SEED" envDefault:"1"`
	Out     string        `env:"SOAK_OUT" envDefault:"soak.png"`  // the picture; what it shows is beside it as CSV
	Kept    time.Duration `env:"SOAK_RETENTION" envDefault:"20m"` // of Temporal's closed workflows: the database is flat after it
}

func (o options) validate() error {
	var errs []error
	if o.Minutes < 1 {
		errs = append(errs, fmt.Errorf("SOAK_MINUTES is %d: give one or more", o.Minutes))
	}
	if o.Rate < 1 {
		errs = append(errs, fmt.Errorf("SOAK_RATE is %d: give records per second", o.Rate))
	}
	if o.Every < time.Second {
		errs = append(errs, fmt.Errorf("SOAK_FAULT_EVERY is %s: give a second or more", o.Every))
	}
	return errors.Join(errs...)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o, err := env.ParseAs[options]()
	if err == nil {
		err = o.validate()
	}
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}
