package activities

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/ai-backlog/ingest/kafka/kafkatest"
)

// Who may see the topic, and write to none, is refused before a copy is sent. It is no verdict for as long as the worker lives.
func TestARightToWriteCopiesThatIsMissingIsNamedAndCopiesGoOutOnceItIsGranted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	name := DeadLetterTopic(topic)
	may := kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true}
	c := kafkatest.New(t, 1, []string{name}, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "secret"), kfake.User("PLAIN", "storer", "secret", may))
	as := func(user string, more ...kgo.Opt) *kgo.Client {
		login := kgo.SASL(plain.Auth{User: user, Pass: "secret"}.AsMechanism())
		cl, err := kgo.NewClient(append(more, kgo.SeedBrokers(c.Fake(t).ListenAddrs()...), login)...)
		require.NoError(t, err)
		t.Cleanup(cl.Close)
		return cl
	}
	a := &Activities{Producer: as("storer", ProducerOptions()...)}
	copies := []*kgo.Record{{Topic: name, Value: []byte("x")}}
	require.ErrorContains(t, a.copyOut(ctx, topic, copies), "grant Write on topic "+name)
	write := kadm.NewACLs().Allow("User:storer").AllowHosts("*").Topics(name).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite)
	_, err := kadm.NewClient(as("admin")).CreateACLs(ctx, write)
	require.NoError(t, err)
	require.NoError(t, a.copyOut(ctx, topic, copies))
}
