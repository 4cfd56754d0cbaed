package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var ours = regexp.MustCompile(`^(KAFKA|TOPIC|CLICKHOUSE|WORKER|TTL|DLQ|METRICS|LOG|OTEL)_`)

func TestEveryProblemOfTheWorkerIsReportedByItsVariable(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"the defaults are good":   {nil, nil},
		"no metrics":              {map[string]string{"METRICS_ADDR": "off"}, nil},
		"inserts":                 {map[string]string{"WORKER_INSERTS": "0"}, []string{"WORKER_INSERTS is 0"}},
		"memory":                  {map[string]string{"WORKER_MEMORY_MIB": "100"}, []string{"WORKER_MEMORY_MIB is 100"}},
		"dead letter topics":      {map[string]string{"DLQ_PARTITIONS": "0", "DLQ_RETENTION": "3s"}, []string{"DLQ_PARTITIONS is 0", "DLQ_RETENTION is 3s"}},
		"TTL":                     {map[string]string{"TTL_DAYS": "-1"}, []string{"TTL_DAYS is -1"}},
		"metrics":                 {map[string]string{"METRICS_ADDR": "here"}, []string{"METRICS_ADDR"}},
		"traces":                  {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "udp"}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT is", "OTEL_EXPORTER_OTLP_PROTOCOL is"}},
		"vital signs":             {map[string]string{"CLICKHOUSE_METRICS": "sometimes"}, []string{"CLICKHOUSE_METRICS is"}},
		"one topic for two kinds": {map[string]string{"TOPIC_EVENTS": "ai_backlog_logs"}, []string{"TOPIC_EVENTS"}},
		"a number inside another struct": {
			map[string]string{"CLICKHOUSE_PORT": "native"},
			[]string{`CLICKHOUSE_PORT is "native": give a number`},
		},
		"what parses and what does not": {
			map[string]string{
				"CLICKHOUSE_SECURE": "yes", "WORKER_INSERTS": "many", "LOG_LEVEL": "loud", "TTL_DAYS": "-2",
				"CLICKHOUSE_COMPRESSION": "zip", "KAFKA_SECURITY_PROTOCOL": "TLS",
			},
			[]string{"CLICKHOUSE_SECURE", "WORKER_INSERTS", "LOG_LEVEL", "TTL_DAYS", "CLICKHOUSE_COMPRESSION", "KAFKA_SECURITY_PROTOCOL"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kv := range os.Environ() { // what make test sets for the real servers
				if k, _, _ := strings.Cut(kv, "="); ours.MatchString(k) {
					t.Setenv(k, "") // the default
				}
			}
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			cfg, err := load(nil)
			require.Equal(t, []string{"ai_backlog_logs", "ai_backlog_metrics"}, cfg.Topics.Names()[:2])
			if len(c.want) == 0 {
				require.NoError(t, err)
				require.Equal(t, 3, cfg.InsertsAt)
				require.EqualValues(t, 400, cfg.MemoryLimit)
				require.True(t, cfg.ClickHouseMetrics)
				require.True(t, cfg.Tracing.Off())
				require.Equal(t, []string{"localhost:9000"}, cfg.ClickHouse.Addresses())
				return
			}
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.Len(t, strings.Split(err.Error(), "\n"), len(c.want), "%v", err)
		})
	}
}

func TestTheWorkerTakesNoArguments(t *testing.T) {
	_, err := load([]string{"--help"})
	require.ErrorContains(t, err, "configured by environment variables")
	require.NotContains(t, err.Error(), "\n")
}
