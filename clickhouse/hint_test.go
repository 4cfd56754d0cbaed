package clickhouse

import (
	"errors"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"
)

func TestARefusalOfClickHouseSaysWhatToCheck(t *testing.T) {
	cfg := Config{User: "ingest"}
	for _, code := range []int32{192, 193, 194, 516} {
		require.ErrorContains(t, cfg.Hint(Wrap(&clickhouse.Exception{Code: code}, "ask")), "check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD")
	}
	require.ErrorContains(t, cfg.Hint(Wrap(&clickhouse.Exception{Code: 497}, "ask")), "grant it to CLICKHOUSE_USER ingest")
	for _, err := range []error{nil, errors.New("away"), Wrap(&clickhouse.Exception{Code: 60}, "ask")} {
		require.Equal(t, err, cfg.Hint(err))
	}
}

func TestAConnectionThatComesToNothingSaysWhichSettingMayBeWrong(t *testing.T) {
	for text, want := range map[string]string{
		"tls: failed to verify certificate: x509: certificate signed by unknown authority":             "set CLICKHOUSE_CA_LOCATION to",
		"tls: failed to verify certificate: x509: certificate is valid for a, not b":                   "name the server in CLICKHOUSE_HOST",
		"tls: first record does not look like a TLS handshake":                                         "check CLICKHOUSE_SECURE and CLICKHOUSE_PORT",
		"handshake: failed to read packet from 127.0.0.1:9440 (conn_id=1, auth_db=default): read: EOF": "check CLICKHOUSE_SECURE and CLICKHOUSE_PORT",
		"handshake: failed to read packet from 127.0.0.1:9440: read: connection reset by peer":         "check CLICKHOUSE_SECURE and CLICKHOUSE_PORT",
		"[handshake] unexpected packet [72] from server":                                               "check CLICKHOUSE_PORT",
	} {
		f := Wrap(errors.New(text), "ping")
		require.Equal(t, Outage, f.Class)
		require.Contains(t, f.Error(), "ping: "+text+": ")
		require.Contains(t, f.Error(), want)
	}
	require.Equal(t, "ping: read: EOF", Wrap(errors.New("read: EOF"), "ping").Error())
}
