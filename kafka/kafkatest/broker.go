// Package kafkatest gives tests a broker: franz-go's kfake within the process, or
// Apache Kafka, which make test-kafka starts for them. It is never mocked.
package kafkatest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The environment of make test-kafka: which Kafka is wanted, and the address of
// one with which a test may do as it likes.
const (
	choice  = "INTEGRATION_KAFKA"
	address = "TEST_KAFKA"
)

// Broker is one of the two. A test has it for itself: those of several packages
// take turns (go test -p 1) when it is Apache Kafka.
type Broker struct {
	servers []string
	fake    *kfake.Cluster // nil: Apache Kafka
}

// New is a broker that has these topics, empty, and no group. The options are
// kfake's.
func New(t testing.TB, partitions int32, topics []string, opts ...kfake.Opt) *Broker {
	t.Helper()
	if os.Getenv(choice) == "apache" {
		require.NotEmpty(t, os.Getenv(address), "%s is not set: run make test-kafka", address)
		b := &Broker{servers: []string{os.Getenv(address)}}
		b.begin(t, partitions, topics)
		return b
	}
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return &Broker{servers: c.ListenAddrs(), fake: c}
}

// ListenAddrs are the addresses for clients.
func (b *Broker) ListenAddrs() []string { return b.servers }

// Real says that it is Apache Kafka.
func (b *Broker) Real() bool { return b.fake == nil }

// Fake is kfake, for a test that has it fail on purpose, which skips such a test
// on Apache Kafka.
func (b *Broker) Fake(t testing.TB) *kfake.Cluster {
	t.Helper()
	if b.Real() {
		t.Skip("Apache Kafka does not fail on purpose")
	}
	return b.fake
}

// settings are those of the topics: a test may send what is large, or of a time to
// come, which kfake takes as it is.
var settings = map[string]*string{"max.message.bytes": kadm.StringPtr("20000000"), "message.timestamp.after.max.ms": kadm.StringPtr("9223372036854775807")}

// begin deletes what earlier tests left, and makes the topics.
func (b *Broker) begin(t testing.TB, partitions int32, topics []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.servers...), kgo.MetadataMinAge(10*time.Millisecond))
	require.NoError(t, err)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	until(ctx, t, "the groups of earlier tests are gone", func() bool {
		groups, err := adm.ListGroups(ctx)
		if err != nil || len(groups) == 0 {
			return err == nil
		}
		_, _ = adm.DeleteGroups(ctx, groups.Groups()...) // refused while a member's session lasts
		return false
	})
	old, err := adm.ListTopics(ctx)
	require.NoError(t, err)
	if len(old) > 0 {
		_, err = adm.DeleteTopics(ctx, old.Names()...)
		require.NoError(t, err)
	}
	for _, topic := range topics {
		_, err := adm.CreateTopic(ctx, partitions, 1, settings, topic)
		require.NoError(t, err)
	}
	until(ctx, t, "the broker has exactly the topics, and leads them", func() bool {
		all, err := adm.ListTopics(ctx)
		if err != nil || all.Error() != nil || len(all) != len(topics) {
			return false
		}
		ends, err := adm.ListEndOffsets(ctx, topics...)
		return err == nil && ends.Error() == nil
	})
}

// until asks now and then, and fails the test when ctx ends.
func until(ctx context.Context, t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			require.FailNow(t, "not so", what)
		case <-tick.C:
		}
	}
}
