package kafka

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
)

func TestEveryProblemIsReportedAtOnceByItsVariable(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.pem")
	require.NoError(t, os.WriteFile(text, []byte("no certificate"), 0o600))
	const pass = "hunter2"
	for name, c := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"the defaults are good":        {map[string]string{}, nil},
		"several addresses are good":   {map[string]string{"KAFKA_SERVERS": "a:1,[::1]:9092"}, nil},
		"an address has no port":       {map[string]string{"KAFKA_SERVERS": "a:1,b"}, []string{"KAFKA_SERVERS"}},
		"an address has a bad port":    {map[string]string{"KAFKA_SERVERS": "a:http"}, []string{"KAFKA_SERVERS"}},
		"an address has port 0":        {map[string]string{"KAFKA_SERVERS": "a:0"}, []string{"KAFKA_SERVERS"}},
		"an address has no host":       {map[string]string{"KAFKA_SERVERS": ":9092"}, []string{"KAFKA_SERVERS"}},
		"an address has a space":       {map[string]string{"KAFKA_SERVERS": "a:1, b:2"}, []string{"KAFKA_SERVERS"}},
		"an address has a scheme":      {map[string]string{"KAFKA_SERVERS": "http://a:1"}, []string{"KAFKA_SERVERS"}},
		"an address is empty":          {map[string]string{"KAFKA_SERVERS": "a:1,,b:2"}, []string{"KAFKA_SERVERS"}},
		"the group has a slash":        {map[string]string{"KAFKA_GROUP_ID": "a/b"}, []string{"KAFKA_GROUP_ID"}},
		"reset and protocol":           {map[string]string{"KAFKA_AUTO_OFFSET_RESET": "none", "KAFKA_SECURITY_PROTOCOL": "TLS"}, []string{"KAFKA_AUTO_OFFSET_RESET", "KAFKA_SECURITY_PROTOCOL"}},
		"sasl without credentials":     {map[string]string{"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, []string{"KAFKA_SASL_MECHANISMS", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}},
		"sasl with a bad mechanism":    {map[string]string{"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISMS": "GSSAPI", "KAFKA_SASL_USERNAME": "me", "KAFKA_SASL_PASSWORD": pass}, []string{"KAFKA_SASL_MECHANISMS"}},
		"the authority is not there":   {map[string]string{"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_LOCATION": "/nowhere"}, []string{"KAFKA_SSL_CA_LOCATION"}},
		"the authority is no PEM":      {map[string]string{"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_LOCATION": text}, []string{"KAFKA_SSL_CA_LOCATION"}},
		"a certificate without a key":  {map[string]string{"KAFKA_SSL_CERTIFICATE_LOCATION": "x"}, []string{"KAFKA_SSL_KEY_LOCATION"}},
		"a certificate that is no PEM": {map[string]string{"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CERTIFICATE_LOCATION": text, "KAFKA_SSL_KEY_LOCATION": text}, []string{"KAFKA_SSL_CERTIFICATE_LOCATION"}},
		"everything at once": {
			map[string]string{
				"KAFKA_SERVERS": "a", "KAFKA_GROUP_ID": "/", "KAFKA_AUTO_OFFSET_RESET": "x", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_PASSWORD": pass,
				"KAFKA_SSL_CA_LOCATION": "/nowhere", "KAFKA_SSL_KEY_LOCATION": text,
			},
			[]string{"KAFKA_SERVERS", "KAFKA_GROUP_ID", "KAFKA_AUTO_OFFSET_RESET", "KAFKA_SASL_MECHANISMS", "KAFKA_SASL_USERNAME", "KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_CA_LOCATION"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := env.ParseAsWithOptions[Config](env.Options{Environment: c.env})
			require.NoError(t, err)
			err = cfg.Validate()
			if len(c.want) == 0 {
				require.NoError(t, err)
				_, err = cfg.Options()
				require.NoError(t, err)
				return
			}
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.Len(t, strings.Split(err.Error(), "\n"), len(c.want))
			require.NotContains(t, err.Error(), pass)
		})
	}
}

func TestThePasswordIsNeverShown(t *testing.T) {
	cfg := Config{SecurityProtocol: "SASL_SSL", SASLUsername: "me", SASLPassword: "hunter2"}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "kafka", cfg)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "config", struct{ Kafka Config }{cfg})
	j, err := json.Marshal(cfg)
	require.NoError(t, err)
	for _, s := range []string{b.String(), string(j), fmt.Sprint(cfg), fmt.Sprintf("%+v %#v %s", cfg, cfg, struct{ Kafka Config }{cfg})} {
		require.NotContains(t, s, "hunter2")
	}
}
