package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config is how to reach Kafka, from the environment.
type Config struct {
	Servers          []string `env:"KAFKA_SERVERS" envDefault:"localhost:9092"`
	GroupID          string   `env:"KAFKA_GROUP_ID" envDefault:"ai-backlog-clickhouse-consumer"`
	AutoOffsetReset  string   `env:"KAFKA_AUTO_OFFSET_RESET" envDefault:"earliest"`
	SecurityProtocol string   `env:"KAFKA_SECURITY_PROTOCOL" envDefault:"PLAINTEXT"`
	SASLMechanism    string   `env:"KAFKA_SASL_MECHANISMS"`
	SASLUsername     string   `env:"KAFKA_SASL_USERNAME"`
	SASLPassword     string   `env:"KAFKA_SASL_PASSWORD" json:"-"`
	CALocation       string   `env:"KAFKA_SSL_CA_LOCATION"`
	CertLocation     string   `env:"KAFKA_SSL_CERTIFICATE_LOCATION"`
	KeyLocation      string   `env:"KAFKA_SSL_KEY_LOCATION"`
}

// LogValue never shows the password, nor do String, GoString and JSON.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// GoString is what %#v prints.
func (c Config) GoString() string { return c.String() }

func (c Config) String() string {
	return fmt.Sprintf("%s %s as %q", c.SecurityProtocol, strings.Join(c.Servers, ","), c.SASLUsername)
}

func (c Config) sasl() bool { return strings.HasPrefix(c.SecurityProtocol, "SASL_") }
func (c Config) tls() bool  { return strings.HasSuffix(c.SecurityProtocol, "SSL") }

// Validate reports every problem at once, each with its variable's name.
func (c Config) Validate() error {
	var errs []error
	add := func(bad bool, f string, a ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(f, a...))
		}
	}
	add(len(c.Servers) == 0 || slices.Contains(c.Servers, ""), "KAFKA_SERVERS has an empty address: give host:port, separated by commas")
	for _, s := range c.Servers {
		add(s != "" && !isAddress(s), "KAFKA_SERVERS has %q: give host:port, without spaces", s)
	}
	add(c.GroupID == "", "KAFKA_GROUP_ID is empty: give the consumer group's name")
	add(strings.Contains(c.GroupID, "/"), "KAFKA_GROUP_ID is %q: it is part of workflow IDs and must not contain a slash", c.GroupID)
	add(c.AutoOffsetReset != "earliest" && c.AutoOffsetReset != "latest", "KAFKA_AUTO_OFFSET_RESET is %q: give earliest or latest", c.AutoOffsetReset)
	add(!slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, c.SecurityProtocol),
		"KAFKA_SECURITY_PROTOCOL is %q: give PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", c.SecurityProtocol)
	if c.sasl() {
		add(!slices.Contains([]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, c.SASLMechanism),
			"KAFKA_SASL_MECHANISMS is %q: give PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.SASLMechanism)
		add(c.SASLUsername == "", "KAFKA_SASL_USERNAME is empty, which %s needs", c.SecurityProtocol)
		add(c.SASLPassword == "", "KAFKA_SASL_PASSWORD is empty, which %s needs", c.SecurityProtocol)
	}
	add((c.CertLocation == "") != (c.KeyLocation == ""), "KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION belong together: give both or neither")
	if c.tls() {
		if _, err := c.tlsConfig(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && n > 0 && host != "" && !strings.ContainsAny(s, " /")
}

func (c Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CALocation != "" {
		pem, err := os.ReadFile(c.CALocation)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_SSL_CA_LOCATION: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("KAFKA_SSL_CA_LOCATION: %s holds no PEM certificate", c.CALocation)
		}
	}
	if c.CertLocation != "" && c.KeyLocation != "" {
		cert, err := tls.LoadX509KeyPair(c.CertLocation, c.KeyLocation)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_SSL_CERTIFICATE_LOCATION, KAFKA_SSL_KEY_LOCATION: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}

// Options are the client options that every program shares. The configuration
// was validated.
func (c Config) Options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Servers...), kgo.ClientID("ai-backlog-ingest")}
	if c.tls() {
		t, err := c.tlsConfig()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if c.sasl() {
		opts = append(opts, kgo.SASL(c.mechanism()))
	}
	return opts, nil
}

func (c Config) mechanism() sasl.Mechanism {
	auth := scram.Auth{User: c.SASLUsername, Pass: c.SASLPassword}
	switch c.SASLMechanism {
	case "SCRAM-SHA-256":
		return auth.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return auth.AsSha512Mechanism()
	}
	return plain.Auth{User: c.SASLUsername, Pass: c.SASLPassword}.AsMechanism()
}
