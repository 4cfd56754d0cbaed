// Package container runs the three servers in containers, as package stack of devstack runs them as processes: killed, frozen, started
// again with the same addresses and data.
//
// Every container is on the host's network and listens on loopback, at a port that was chosen first: nothing is published, and a
// server has the same address before and after its death. Data, and the files that tests put beside it, are in a directory of the
// test's, which is mounted at the same path.
package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// Docker is the engine that runs the containers: that of DOCKER_HOST, or the usual one.
type Docker struct {
	*testcontainers.DockerClient
	owner *os.File // the lock that says whose its containers are
}

// askWithin bounds the first question to the engine.
const askWithin = 10 * time.Second

// ErrNoDocker says that no engine answers.
var ErrNoDocker = errors.New("no Docker here")

var (
	connecting sync.Mutex
	connected  *Docker
)

// Connect answers the engine, one for this process. What earlier processes have left behind is removed first: containers outlive a
// process that is killed, and no other container watches over them, as testcontainers has it by default.
func Connect(ctx context.Context) (*Docker, error) {
	connecting.Lock()
	defer connecting.Unlock()
	if connected != nil {
		return connected, nil
	}
	d, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.own(); err != nil {
		return nil, err
	}
	if err := d.Sweep(ctx); err != nil {
		return nil, err
	}
	connected = d
	return d, nil
}

// ask is Connect without any effect.
func ask(ctx context.Context) (d *Docker, err error) {
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return nil, err
	}
	tclog.SetDefault(tclog.NewNoopLogger())
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	c, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err == nil {
		_, err = c.Ping(ctx, client.PingOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrNoDocker, why(err))
	}
	return &Docker{DockerClient: c}, nil
}

// why is one line. Where no engine is named, several places were tried, and the last error is of the least likely one.
func why(err error) string {
	if os.Getenv(client.EnvOverrideHost) == "" {
		return client.EnvOverrideHost + " is not set, and nothing answers at the usual sockets"
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// The variables that name other images.
const (
	KafkaVariable      = "KAFKA_IMAGE"
	ClickHouseVariable = "CLICKHOUSE_IMAGE"
	TemporalVariable   = "TEMPORAL_IMAGE"
)

// official are the images of the projects themselves, of the versions that devstack runs, or, of Temporal's development server, the
// nearest.
var official = map[string]string{
	KafkaVariable:      "apache/kafka:4.3.1",
	ClickHouseVariable: "clickhouse/clickhouse-server:26.7",
	TemporalVariable:   "temporalio/temporal:1.5.1",
}

// image is the name of one image.
func image(variable string) string {
	if name := os.Getenv(variable); name != "" {
		return name
	}
	return official[variable]
}

// Pull makes sure that the engine has all images, so that no test waits for one.
func (d *Docker) Pull(ctx context.Context, log io.Writer) error {
	for _, variable := range []string{KafkaVariable, ClickHouseVariable, TemporalVariable} {
		name := image(variable)
		if _, err := d.ImageInspect(ctx, name); err == nil {
			continue
		}
		_, _ = fmt.Fprintln(log, "pulling", name)
		answer, err := d.ImagePull(ctx, name, client.ImagePullOptions{})
		if err == nil {
			err = answer.Wait(ctx)
		}
		if err != nil {
			return fmt.Errorf("the image %s is not here and cannot be pulled (name another in %s, or build one: make images): %w", name, variable, err)
		}
	}
	return nil
}
