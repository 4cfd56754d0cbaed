package kafka

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestARefusalSaysWhatToCheck(t *testing.T) {
	for err, want := range map[error]string{
		kerr.SaslAuthenticationFailed:   "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
		kerr.UnsupportedSaslMechanism:   "check KAFKA_SECURITY_PROTOCOL and KAFKA_SASL_MECHANISMS",
		kerr.IllegalSaslState:           "check KAFKA_SECURITY_PROTOCOL and KAFKA_SASL_MECHANISMS",
		kerr.TopicAuthorizationFailed:   "grant it to KAFKA_SASL_USERNAME",
		kerr.GroupAuthorizationFailed:   "grant it to KAFKA_SASL_USERNAME",
		kerr.ClusterAuthorizationFailed: "grant it to KAFKA_SASL_USERNAME",
	} {
		require.True(t, IsAuth(err))
		require.NotEqual(t, IsRefused(err), IsDenied(err))
		hinted := Hint(fmt.Errorf("ask: %w", err))
		require.ErrorIs(t, hinted, err)
		require.ErrorContains(t, hinted, want)
		require.Equal(t, hinted, Hint(hinted), "it is said once")
	}
	require.Equal(t, kerr.NotLeaderForPartition, Hint(kerr.NotLeaderForPartition))
	require.NoError(t, Hint(nil))
}

func TestAMissingRightIsNamedOnce(t *testing.T) {
	err := Hint(Denied(Denied(kerr.TopicAuthorizationFailed, "Read on topic %s", "a"), "Write on topic %s", "a"))
	require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)
	require.Equal(t, kerr.TopicAuthorizationFailed.Error()+": grant Read on topic a to KAFKA_SASL_USERNAME, or to the subject of KAFKA_SSL_CERTIFICATE_LOCATION", err.Error())
	require.Equal(t, kerr.SaslAuthenticationFailed, Denied(kerr.SaslAuthenticationFailed, "Read"))
	require.NoError(t, Denied(nil, "Read"))
}

func TestAConnectionThatComesToNothingSaysWhichSettingMayBeWrong(t *testing.T) {
	for _, err := range []error{
		&kgo.ErrFirstReadEOF{},
		ErrCloses,
		errors.New("the broker connection has died and the request will be retried on a new connection"),
		errors.New("invalid large response size 352518912 > limit 104857600; the first three bytes received appear to be a tls alert record for TLS v1.2"),
		fmt.Errorf("unable to request api versions: %w", syscall.ECONNRESET),
		errors.New("unable to dial: tls: first record does not look like a TLS handshake"),
	} {
		require.ErrorContains(t, Hint(err), "check KAFKA_SECURITY_PROTOCOL")
		require.False(t, IsAuth(err), "it may be an outage")
	}
}
