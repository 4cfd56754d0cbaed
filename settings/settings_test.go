package settings

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type inner struct {
	Port int `env:"S_PORT" envDefault:"1"`
}

type outer struct {
	Inner  inner
	Topics Topics
	Linger time.Duration `env:"S_LINGER" envDefault:"1s"`
	Secure bool          `env:"S_SECURE"`
	Level  slog.Level    `env:"S_LEVEL" envDefault:"info"`
	Name   string        `env:"S_NAME" envDefault:"x"`
	Seed   uint64        `env:"S_SEED" envDefault:"3"`
}

func TestReadTellsEachValueThatDoesNotParseByItsVariable(t *testing.T) {
	for k, v := range map[string]string{"S_PORT": "one", "S_LINGER": "2", "S_SECURE": "yes", "S_LEVEL": "loud", "S_NAME": "y", "S_SEED": "-1", "TOPIC_LOGS": "l"} {
		t.Setenv(k, v)
	}
	var o outer
	err := Read(&o)
	for _, want := range []string{`S_PORT is "one": give a number`, `S_LINGER is "2": give a duration, like 1s`, `S_SECURE is "yes": give a value: true or false`, `S_LEVEL is "loud": give a level`, `S_SEED is "-1": give a number, not negative`} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 5, "%v", err)
	require.Equal(t, outer{Inner: inner{Port: 1}, Topics: Topics{"l", "ai_backlog_metrics", "ai_backlog_events"}, Linger: time.Second, Name: "y", Seed: 3}, o,
		"what parses is read, what does not has its default")
}

func TestTopicsMustHaveNamesOfTheirOwnThatKafkaTakes(t *testing.T) {
	require.NoError(t, Topics{"a", "b", "c"}.Validate())
	err := Topics{"a", "a", "b/c"}.Validate()
	require.ErrorContains(t, err, `TOPIC_METRICS is "a", which TOPIC_LOGS is too`)
	require.ErrorContains(t, err, `TOPIC_EVENTS is "b/c"`)
}

func TestMetricsAddrIsAnAddressOrOff(t *testing.T) {
	for addr, good := range map[string]bool{"off": true, "127.0.0.1:9464": true, ":0": true, "9464": false, "host:port": false, "h:70000": false} {
		require.Equal(t, good, MetricsAddr(addr) == nil, addr)
	}
}
