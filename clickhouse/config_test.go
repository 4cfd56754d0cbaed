package clickhouse_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
)

func TestConfigComesFromTheEnvironment(t *testing.T) {
	parse := func(m map[string]string) clickhouse.Config {
		var c clickhouse.Config
		require.NoError(t, env.ParseWithOptions(&c, env.Options{Environment: m}))
		return c
	}
	none := parse(map[string]string{}) // nil would be the process's own
	require.NoError(t, none.Validate())
	require.Equal(t, clickhouse.Config{Hosts: []string{"localhost"}, Port: 9000, User: "default", Database: "default", Compression: "none"}, none)

	c := parse(map[string]string{"CLICKHOUSE_HOST": "a, b:9441,::1,[::2]:7", "CLICKHOUSE_PORT": "9440", "CLICKHOUSE_COMPRESSION": "lz4", "CLICKHOUSE_SECURE": "true"})
	require.NoError(t, c.Validate())
	require.Equal(t, []string{"a:9440", "b:9441", "[::1]:9440", "[::2]:7"}, c.Addresses())
}

func TestValidateNamesEveryVariableAtOnce(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(junk, []byte("no certificate"), 0o600))
	err := clickhouse.Config{Hosts: []string{"a", " "}, Port: 0, Compression: "gzip", Secure: true, CALocation: junk}.Validate()
	for _, name := range []string{"HOST", "PORT", "USER", "DATABASE", "COMPRESSION", "CA_LOCATION"} {
		require.ErrorContains(t, err, "CLICKHOUSE_"+name)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 6)

	good := clickhouse.Config{Hosts: []string{"a"}, Port: 1, User: "u", Database: "d", Compression: "none"}
	require.NoError(t, good.Validate())
	bad := good
	bad.CALocation = junk
	require.ErrorContains(t, bad.Validate(), "CLICKHOUSE_SECURE=true")
	bad.Secure, bad.CALocation = true, junk+".missing"
	require.ErrorContains(t, bad.Validate(), "CLICKHOUSE_CA_LOCATION")
	for name, fits := range map[string]bool{"main": true, "a-b.c_1": true, "a b": false, "x'": false, "a`": false, "{cluster}": false, "-a": false} {
		bad = good
		bad.Cluster = name
		if err := bad.Validate(); fits {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, "CLICKHOUSE_CLUSTER is \""+name+"\": give the name of a cluster as in system.clusters")
		}
	}
	bad = good
	bad.Hosts = []string{"http://a"}
	require.ErrorContains(t, bad.Validate(), "not a URL")
}

func TestPasswordIsNeverPrinted(t *testing.T) {
	c := clickhouse.Config{Hosts: []string{"a"}, Port: 9000, User: "u", Password: "hunter2", Database: "d"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "clickhouse", c, "nested", struct{ C clickhouse.Config }{c})
	j, err := json.Marshal(c)
	require.NoError(t, err)
	for _, out := range []string{
		log.String(), string(j), fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprintf("%v %+v %#v", &c, struct{ C clickhouse.Config }{c}, struct{ C clickhouse.Config }{c}),
	} {
		require.NotContains(t, out, "hunter2")
	}
	require.Equal(t, "a:9000/d as u", c.String())
}
