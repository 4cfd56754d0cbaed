package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var ours = regexp.MustCompile(`^(KAFKA|TOPIC|BATCH|METRICS|LOG)_`)

func TestEveryProblemOfTheConsumerIsReportedByItsVariable(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"the defaults are good":     {nil, nil},
		"no metrics":                {map[string]string{"METRICS_ADDR": "off"}, nil},
		"records":                   {map[string]string{"BATCH_RECORDS": "0"}, []string{"BATCH_RECORDS"}},
		"bytes":                     {map[string]string{"BATCH_BYTES": "1000"}, []string{"BATCH_BYTES"}},
		"linger":                    {map[string]string{"BATCH_LINGER": "2h"}, []string{"BATCH_LINGER"}},
		"window":                    {map[string]string{"BATCH_WINDOW": "65"}, []string{"BATCH_WINDOW"}},
		"session":                   {map[string]string{"KAFKA_SESSION_TIMEOUT": "5s"}, []string{"KAFKA_SESSION_TIMEOUT"}},
		"metrics":                   {map[string]string{"METRICS_ADDR": "9464"}, []string{"METRICS_ADDR"}},
		"a topic's name":            {map[string]string{"TOPIC_LOGS": "a/b"}, []string{"TOPIC_LOGS"}},
		"one topic for two kinds":   {map[string]string{"TOPIC_EVENTS": "ai_backlog_logs"}, []string{"TOPIC_EVENTS"}},
		"what is no number":         {map[string]string{"BATCH_WINDOW": "many"}, []string{"BATCH_WINDOW"}},
		"what is no duration":       {map[string]string{"BATCH_LINGER": "1"}, []string{"BATCH_LINGER"}},
		"what is no level":          {map[string]string{"LOG_LEVEL": "loud"}, []string{"LOG_LEVEL"}},
		"all that does not parse":   {map[string]string{"BATCH_WINDOW": "x", "BATCH_LINGER": "y", "LOG_LEVEL": "z", "KAFKA_SERVERS": "here"}, []string{"BATCH_WINDOW", "BATCH_LINGER", "LOG_LEVEL", "KAFKA_SERVERS"}},
		"all that is out of bounds": {map[string]string{"BATCH_RECORDS": "-1", "BATCH_BYTES": "1", "KAFKA_AUTO_OFFSET_RESET": "x"}, []string{"BATCH_RECORDS", "BATCH_BYTES", "KAFKA_AUTO_OFFSET_RESET"}},
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
			if len(c.want) == 0 {
				require.NoError(t, err)
				require.Equal(t, []string{"ai_backlog_logs", "ai_backlog_metrics", "ai_backlog_events"}, cfg.Topics.Names())
				require.Equal(t, time.Second, cfg.BatchLinger)
				return
			}
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.Len(t, strings.Split(err.Error(), "\n"), len(c.want), "%v", err)
		})
	}
}

func TestTheConsumerTakesNoArguments(t *testing.T) {
	_, err := load([]string{"--help"})
	require.ErrorContains(t, err, "configured by environment variables")
	require.NotContains(t, err.Error(), "\n")
}
