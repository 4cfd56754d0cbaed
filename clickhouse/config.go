package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// dialTimeout is for connecting and logging in to one host, so that a dead
	// one among several costs little.
	dialTimeout = 5 * time.Second
	// queryTimeout is for one question: none scans more than an index.
	queryTimeout = 30 * time.Second
)

// Config is how to reach ClickHouse, read from the environment.
type Config struct {
	Hosts       []string `env:"CLICKHOUSE_HOST" envDefault:"localhost"` // in the order to try
	Port        int      `env:"CLICKHOUSE_PORT" envDefault:"9000"`      // of hosts that name none
	User        string   `env:"CLICKHOUSE_USER" envDefault:"default"`
	Password    string   `env:"CLICKHOUSE_PASSWORD" json:"-"`
	Database    string   `env:"CLICKHOUSE_DATABASE" envDefault:"default"`
	Cluster     string   `env:"CLICKHOUSE_CLUSTER"` // of one shard, whose replicas have the tables; empty: one server has them
	Secure      bool     `env:"CLICKHOUSE_SECURE" envDefault:"false"`
	CALocation  string   `env:"CLICKHOUSE_CA_LOCATION"` // PEM file; empty: the system's authorities
	Compression string   `env:"CLICKHOUSE_COMPRESSION" envDefault:"none"`
}

// String says where and as whom, never the password.
func (c Config) String() string {
	return fmt.Sprintf("%s/%s as %s", strings.Join(c.Addresses(), ","), c.Database, c.User)
}

// GoString is String, so that %#v has no password either.
func (c Config) GoString() string { return c.String() }

// LogValue implements slog.LogValuer with String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Addresses are host:port of the native protocol, in the order to try.
func (c Config) Addresses() []string {
	out := make([]string, 0, len(c.Hosts))
	for _, h := range c.Hosts {
		h = strings.TrimSpace(h)
		if _, _, err := net.SplitHostPort(h); err != nil {
			h = net.JoinHostPort(strings.Trim(h, "[]"), strconv.Itoa(c.Port))
		}
		out = append(out, h)
	}
	return out
}

// clusterName is what names of clusters are made of: they are elements of the server's XML.
var clusterName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// Validate reports every problem at once, each with its variable and what to do.
func (c Config) Validate() error {
	var errs []error
	problem := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	problem(len(c.Hosts) == 0, "CLICKHOUSE_HOST is empty: give one host, or several separated by commas")
	for _, h := range c.Hosts {
		problem(strings.TrimSpace(h) == "", "CLICKHOUSE_HOST has an empty name in it: give one host, or several separated by commas")
		problem(strings.Contains(h, "/"), "CLICKHOUSE_HOST has %q: give a name or an address, not a URL", h)
	}
	problem(c.Port < 1 || c.Port > 65535, "CLICKHOUSE_PORT is %d: give the port of the native protocol, usually 9000, with TLS 9440", c.Port)
	problem(c.User == "", "CLICKHOUSE_USER is empty: give a user, or leave it unset for the user default")
	problem(c.Database == "", "CLICKHOUSE_DATABASE is empty: give a database, or leave it unset for the database default")
	problem(c.Cluster != "" && !clusterName.MatchString(c.Cluster), "CLICKHOUSE_CLUSTER is %q: give the name of a cluster as in system.clusters, of letters, digits, dots, - and _", c.Cluster)
	problem(c.Compression != "none" && c.Compression != "lz4", "CLICKHOUSE_COMPRESSION is %q: give none, or lz4 over a slow network", c.Compression)
	problem(c.CALocation != "" && !c.Secure, "CLICKHOUSE_CA_LOCATION is set but CLICKHOUSE_SECURE is not: set CLICKHOUSE_SECURE=true for TLS")
	if _, err := c.tls(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// tls is nil without CLICKHOUSE_SECURE.
func (c Config) tls() (*tls.Config, error) {
	if !c.Secure {
		return nil, nil //nolint:nilnil // no TLS is no configuration of it
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CALocation == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CALocation)
	if err != nil {
		return nil, fmt.Errorf("CLICKHOUSE_CA_LOCATION: %w: give a readable PEM file", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CLICKHOUSE_CA_LOCATION: %s holds no certificate: give a PEM file", c.CALocation)
	}
	return t, nil
}
