//go:build unix

package stack_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/ai-backlog/ingest/devstack/stack"
)

func TestABrokerAsksWhoOneIsAtItsListenersAndLetsThemDoWhatIsGranted(t *testing.T) {
	apache(t)
	s, err := stack.ApacheKafka(stack.KafkaOptions{Binaries: binaries(t), Dir: t.TempDir(), Secure: &stack.Security{
		ACLs: true, Users: map[string]string{"me": "my-secret"}, Listeners: []stack.Listener{{Name: "LOGIN", Protocol: "SASL_PLAINTEXT", Mechanisms: []string{"PLAIN"}}},
	}})
	running(t, s, err)
	replaced(t, s)
	as := func(secret string) *kgo.Client {
		c, err := kgo.NewClient(kgo.SeedBrokers(s.ListenerAddr("LOGIN")), kgo.SASL(plain.Auth{User: "me", Pass: secret}.AsMechanism()))
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c
	}
	require.ErrorIs(t, as("no-secret").Ping(t.Context()), kerr.SaslAuthenticationFailed)
	me := as("my-secret")
	require.NoError(t, me.Ping(t.Context()))
	record := &kgo.Record{Topic: logs, Value: []byte("x")}
	require.ErrorIs(t, me.ProduceSync(t.Context(), record).FirstErr(), kerr.TopicAuthorizationFailed)
	require.NoError(t, client(t, s).ProduceSync(t.Context(), record).FirstErr())
}
