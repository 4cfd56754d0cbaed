package clickhouse

import (
	"fmt"
	"strings"

	"github.com/ai-backlog/ingest/handshake"
)

// variables are those that an error of TLS may be about.
var variables = handshake.Settings{
	Address: "CLICKHOUSE_HOST", Encrypted: "CLICKHOUSE_SECURE and CLICKHOUSE_PORT", Authorities: "CLICKHOUSE_CA_LOCATION",
	Certificate: "CLICKHOUSE_HOST: certificates of clients are not supported",
}

// Hint adds which setting to look at to a refusal. Any other error stays as it is; one of TLS says it by itself.
func (c Config) Hint(err error) error {
	if err == nil {
		return nil
	}
	switch Classify(err).Code {
	case 192, 193, 194, 516:
		return fmt.Errorf("%w: check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD", err)
	case 497:
		return fmt.Errorf("%w: grant it to CLICKHOUSE_USER %s", err, c.User)
	}
	return err
}

// check is what to look at when no server has answered, if the error tells.
func check(err error) string {
	if do := variables.Check(err); do != "" {
		return do
	}
	switch text := err.Error(); {
	case strings.Contains(text, "unexpected packet [72] from server"): // H, of HTTP/1.1
		return "check CLICKHOUSE_PORT: it is the port of the native protocol, not of HTTP"
	case strings.Contains(text, "handshake: failed to read packet") && (strings.Contains(text, "EOF") || strings.Contains(text, "connection reset by peer")):
		return "if it lasts, check CLICKHOUSE_SECURE and CLICKHOUSE_PORT"
	}
	return ""
}
