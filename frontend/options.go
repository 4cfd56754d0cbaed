// Package frontend is how to reach Temporal, from the environment.
package frontend

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
)

// Options reads Temporal's own variables and configuration file, as its other tools do. Those pass over a file that is not
// there and a TEMPORAL_TLS that is neither true nor false: the one would mean another server, the other no TLS.
func Options() (client.Options, error) {
	var errs []error
	if file := os.Getenv("TEMPORAL_CONFIG_FILE"); file != "" {
		if _, err := os.Stat(file); err != nil { //nolint:gosec // G703: the file that the user names
			errs = append(errs, fmt.Errorf("TEMPORAL_CONFIG_FILE: %w: give a readable file, or unset it", err))
		}
	}
	switch tls := os.Getenv("TEMPORAL_TLS"); strings.ToLower(tls) {
	case "", "true", "false", "1", "0":
	default:
		errs = append(errs, fmt.Errorf("TEMPORAL_TLS is %q: give a value: true or false", tls))
	}
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		errs = append(errs, fmt.Errorf("TEMPORAL_*: %w", err))
	}
	if _, _, err := net.SplitHostPort(o.HostPort); err != nil && o.HostPort != "" && !strings.Contains(o.HostPort, "://") { // a gRPC target
		errs = append(errs, fmt.Errorf("TEMPORAL_ADDRESS is %q: give host:port, usually with port 7233", o.HostPort))
	}
	return o, errors.Join(errs...)
}
