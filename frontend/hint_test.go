package frontend

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a dial says is the client's, whose words may change.
func TestAHostThatIsNotIsToldByItsVariable(t *testing.T) {
	_, err := client.DialContext(t.Context(), client.Options{HostPort: "nowhere.invalid:7233", ConnectionOptions: client.ConnectionOptions{GetSystemInfoTimeout: 5 * time.Second}})
	require.ErrorContains(t, Hint(err), "check TEMPORAL_ADDRESS: its host was not found")
	require.False(t, Refused(err))
}

func TestARefusalOfTemporalSaysWhatToCheck(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		want    string
		refused bool
	}{
		"a key that is denied":                    {serviceerror.NewPermissionDenied("Request unauthorized.", ""), "check TEMPORAL_API_KEY", true},
		"a key that is missing":                   {status.Error(codes.Unauthenticated, "no token"), "check TEMPORAL_API_KEY", true},
		"a namespace that is not":                 {serviceerror.NewNamespaceNotFound("nowhere"), "", true},
		"an authority not trusted":                {errors.New("transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority"), "set TEMPORAL_TLS_SERVER_CA_CERT_PATH to", false},
		"no TLS on the other side":                {errors.New("tls: first record does not look like a TLS handshake"), "check TEMPORAL_TLS", false},
		"no TLS on this side":                     {errors.New("error reading server preface: EOF"), "check TEMPORAL_TLS", false},
		"a certificate that is none":              {errors.New("error reading server preface: remote error: tls: certificate required"), "check TEMPORAL_TLS_CLIENT_CERT_PATH", false},
		"a certificate that is none, and a reset": {errors.New("write tcp 127.0.0.1:43463: write: connection reset by peer"), "check TEMPORAL_TLS and TEMPORAL_TLS_CLIENT_CERT_PATH", false},
		"a server that is away":                   {serviceerror.NewUnavailable("connection refused"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := fmt.Errorf("failed reaching server: %w", c.err)
			require.Equal(t, c.refused, Refused(err))
			require.ErrorIs(t, Hint(err), c.err)
			require.ErrorContains(t, Hint(err), c.want)
			if c.want == "" {
				require.Equal(t, err, Hint(err))
			}
		})
	}
	require.NoError(t, Hint(nil))
	require.False(t, Refused(nil))
}
