//go:build unix

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ai-backlog/ingest/devstack/stack"
)

type upConfig struct {
	data        string
	json        bool
	installed   bool
	kafka       int
	clickhouse  int
	clickhouseW int
	temporal    int
	temporalUI  int
}

func parseUp(args []string, log io.Writer) (upConfig, error) {
	var c upConfig
	flags := flag.NewFlagSet("devstack up", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&c.data, "data", "./.devstack", "directory of all data and logs; delete it to begin anew")
	flags.BoolVar(&c.json, "json", false, "print the addresses as one line of JSON")
	flags.BoolVar(&c.installed, "installed", false, "run the programs clickhouse and temporal if they are on PATH, instead of downloading and building")
	flags.IntVar(&c.kafka, "kafka-port", 9092, "port of the Kafka stand-in")
	flags.IntVar(&c.clickhouse, "clickhouse-port", 9000, "port of ClickHouse's native protocol")
	flags.IntVar(&c.clickhouseW, "clickhouse-http-port", 8123, "port of ClickHouse's HTTP interface")
	flags.IntVar(&c.temporal, "temporal-port", 7233, "port of Temporal")
	flags.IntVar(&c.temporalUI, "temporal-ui-port", 8233, "port of Temporal's UI")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("up takes flags only, got %q", flags.Args())
	}
	var err error
	for name, port := range map[string]int{
		"kafka-port": c.kafka, "clickhouse-port": c.clickhouse, "clickhouse-http-port": c.clickhouseW,
		"temporal-port": c.temporal, "temporal-ui-port": c.temporalUI,
	} {
		if port < 1 || port > 65535 {
			err = errors.Join(err, fmt.Errorf("-%s=%d: want a port", name, port))
		}
	}
	if err != nil {
		return c, err
	}
	if c.data, err = filepath.Abs(c.data); err != nil {
		return c, fmt.Errorf("-data: %w", err)
	}
	return c, nil
}

// parts are the three servers with what the environment says about each.
func (c upConfig) parts() []*part {
	clickhouse := ""
	if host := os.Getenv("CLICKHOUSE_HOST"); host != "" {
		clickhouse = hostPort(host, os.Getenv("CLICKHOUSE_PORT"), "9000")
	}
	return []*part{
		{
			name: stack.KafkaName, title: "Kafka", portFlag: "-kafka-port", variable: "KAFKA_SERVERS",
			configured: os.Getenv("KAFKA_SERVERS"), port: c.kafka, ask: askKafka,
		},
		{
			name: stack.ClickHouseName, title: "ClickHouse", portFlag: "-clickhouse-port or -clickhouse-http-port", variable: "CLICKHOUSE_HOST",
			configured: clickhouse, port: c.clickhouse, second: c.clickhouseW, secondTitle: "ClickHouse HTTP",
			installed: c.installed, ask: stack.AskClickHouse,
		},
		{
			name: stack.TemporalName, title: "Temporal", portFlag: "-temporal-port or -temporal-ui-port", variable: "TEMPORAL_ADDRESS",
			configured: os.Getenv("TEMPORAL_ADDRESS"), port: c.temporal, second: c.temporalUI, secondTitle: "Temporal UI",
			installed: c.installed, ask: stack.AskTemporal,
		},
	}
}
