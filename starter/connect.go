package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/frontend"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/settings"
)

// dialTimeout bounds the first question to a server, so that one that says
// nothing is named.
const dialTimeout = 15 * time.Second

// temporal is a client that can say where it is.
type temporal struct {
	client.Client
	address, namespace string
}

func (t temporal) String() string {
	return fmt.Sprintf("TEMPORAL_ADDRESS=%s, TEMPORAL_NAMESPACE=%s", t.address, t.namespace)
}

// dialTemporal connects by Temporal's own variables.
func dialTemporal(ctx context.Context) (t temporal, err error) {
	options, err := frontend.Options()
	if err != nil {
		return t, err
	}
	options.Logger = quiet{}
	t.address, t.namespace = cmp.Or(options.HostPort, client.DefaultHostPort), cmp.Or(options.Namespace, client.DefaultNamespace)
	if t.Client, err = client.DialContext(ctx, options); err != nil {
		return t, fmt.Errorf("no answer from Temporal at TEMPORAL_ADDRESS=%s: %w", t.address, frontend.Hint(err))
	}
	return t, nil
}

// openClickHouse asks once, so that what is wrong with the variables is told
// before anything else.
func openClickHouse(ctx context.Context) (driver.Conn, clickhouse.Config, error) {
	var c clickhouse.Config
	if err := errors.Join(settings.Read(&c), c.Validate()); err != nil {
		return nil, c, err
	}
	conn, err := clickhouse.Open(c)
	if err != nil {
		return nil, c, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := clickhouse.Ping(ctx, conn); err != nil {
		_ = conn.Close()
		return nil, c, fmt.Errorf("no answer from ClickHouse at CLICKHOUSE_HOST, CLICKHOUSE_PORT: %w", c.Hint(err))
	}
	return conn, c, nil
}

// openKafka connects to ask for topics and offsets.
func openKafka(ctx context.Context, c kafka.Config) (*kgo.Client, error) {
	opts, err := c.Options()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		cl.Close()
		return nil, fmt.Errorf("no answer from Kafka at KAFKA_SERVERS: %w", kafka.Hint(err))
	}
	return cl, nil
}

// quiet is a Temporal logger that says nothing: errors are returned anyhow.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
