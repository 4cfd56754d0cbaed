package frontend

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTemporalsVariablesAreNotPassedOver(t *testing.T) {
	for name, c := range map[string]struct {
		variable, value, want string
	}{
		"a file that is not there":       {"TEMPORAL_CONFIG_FILE", "/not/there.toml", "TEMPORAL_CONFIG_FILE: "},
		"a profile that is not there":    {"TEMPORAL_PROFILE", "nobody", "profile nobody"},
		"TLS that is neither on nor off": {"TEMPORAL_TLS", "yes", `TEMPORAL_TLS is "yes": give a value: true or false`},
		"TLS off":                        {"TEMPORAL_TLS", "False", ""},
		"an address without a port":      {"TEMPORAL_ADDRESS", "temporal", `TEMPORAL_ADDRESS is "temporal": give host:port`},
		"an address":                     {"TEMPORAL_ADDRESS", "temporal:7233", ""},
		"a gRPC target":                  {"TEMPORAL_ADDRESS", "dns:///temporal:7233", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEMPORAL_ADDRESS", "")
			t.Setenv(c.variable, c.value)
			_, err := Options()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}
