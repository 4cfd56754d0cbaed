package container

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// Kafka's image makes a property of each variable: a dot of an underscore, an underscore of two, a dash of three.
func TestEveryPropertyOfABrokerIsAVariableOfItsImage(t *testing.T) {
	properties := stack.ApacheProperties(stack.KafkaOptions{}, []stack.Broker{{Addr: "127.0.0.1:9092", Controller: "127.0.0.1:9093"}}, 1)
	env := kafkaEnv(properties)
	n := 0
	for line := range strings.Lines(properties) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		n++
		require.NotRegexp(t, "[-_]", key, "it would need more underscores")
		require.Equal(t, value, env["KAFKA_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))], key)
	}
	require.Greater(t, n, 20)
	require.Len(t, env, n+3, "CLUSTER_ID and two of Java's")
	require.Equal(t, "-Xms64m -Xmx256m", env["KAFKA_HEAP_OPTS"])
}
