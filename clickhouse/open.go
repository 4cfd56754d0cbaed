package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const (
	maxQueries = 16               // at once: looks are short, and as many as workers' local activities
	connLife   = 10 * time.Minute // so that a host that came back is used again, by looks and inserts alike
)

// Open is a pool of connections for everything but blocks of rows. It connects
// when it is first used, to the first host that answers, as an Inserter does:
// with replicas a look should ask the one that was written to.
func Open(c Config) (driver.Conn, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	return clickhouse.Open(o)
}

func (c Config) options() (*clickhouse.Options, error) {
	t, err := c.tls()
	if err != nil {
		return nil, err
	}
	o := &clickhouse.Options{
		Addr:             c.Addresses(),
		Auth:             clickhouse.Auth{Database: c.Database, Username: c.User, Password: c.Password},
		TLS:              t,
		DialTimeout:      dialTimeout,
		ReadTimeout:      queryTimeout,
		MaxOpenConns:     maxQueries,
		ConnMaxLifetime:  connLife,
		ConnOpenStrategy: clickhouse.ConnOpenInOrder,
		ClientInfo:       clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{Name: clientName}}},
	}
	if c.Cluster != "" {
		o.Settings = clickhouse.Settings{}
		for _, q := range c.quorum(InsertTimeout) {
			o.Settings[q.Key] = q.Value
		}
	}
	if c.Compression == "lz4" {
		o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	return o, nil
}

// clientName is how queries of this program are marked in system.query_log.
const clientName = "ai-backlog-ingest"

// CreateDatabase creates the configured database if it is missing. A connection
// of Open cannot: the server refuses it before its first query. Where the
// database exists no grant is needed. Errors are *Failure.
func CreateDatabase(ctx context.Context, c Config) error {
	name := c.Database
	c.Database = "" // the user's default
	conn, err := Open(c)
	if err != nil {
		return Wrap(err, "create database %s", name)
	}
	defer func() { _ = conn.Close() }()
	there, err := hasDatabase(ctx, conn, name)
	if err != nil || there {
		return err
	}
	if err := c.known(ctx, conn); err != nil {
		return err
	}
	if c.Cluster != "" {
		ctx = OnCluster(ctx)
	}
	if err := conn.Exec(ctx, CreateDatabaseSQL(name, c.Cluster)); err != nil {
		return Wrap(err, "create database %s", name)
	}
	if c.Cluster == "" {
		return nil
	}
	if there, err = hasDatabase(ctx, conn, name); err == nil && !there {
		return NotYet("the server has not created database %s yet, as cluster %s was told: see system.distributed_ddl_queue", name, c.Cluster)
	}
	return err
}

func hasDatabase(ctx context.Context, conn driver.Conn, name string) (bool, error) {
	var n uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = ?", name).Scan(&n); err != nil {
		return false, Wrap(err, "look for database %s", name)
	}
	return n > 0, nil
}

// known is nil if the server knows the cluster, or none is named. Waiting does not cure another name.
func (c Config) known(ctx context.Context, conn driver.Conn) error {
	var n uint64
	if c.Cluster == "" {
		return nil
	}
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.clusters WHERE cluster = ?", c.Cluster).Scan(&n); err != nil {
		return Wrap(err, "look for cluster %s", c.Cluster)
	}
	if n == 0 {
		return &Failure{Class: Blocked, Name: "CLUSTER_DOESNT_EXIST", Message: fmt.Sprintf("CLICKHOUSE_CLUSTER is %s, and the server knows none of that name: give one of system.clusters, or leave it unset", c.Cluster)}
	}
	return nil
}

// CreateDatabaseSQL is the statement, for every server of the cluster if one is named.
func CreateDatabaseSQL(name, cluster string) string {
	sql := "CREATE DATABASE IF NOT EXISTS " + Quote(name)
	if cluster != "" {
		sql += " ON CLUSTER " + Quote(cluster)
	}
	return sql
}

// Quote makes an identifier of any name.
func Quote(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}

// Ping asks the host that the next question would go to. Errors are *Failure.
func Ping(ctx context.Context, conn driver.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := conn.Ping(ctx); err != nil {
		return Wrap(err, "ping")
	}
	return nil
}
