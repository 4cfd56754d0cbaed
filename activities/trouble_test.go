package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
)

func TestADeletedTopicIsLostAltogether(t *testing.T) {
	b := setup(t)
	b.produce(10, 100)
	j := b.job(9)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	require.NoError(t, b.c.DeleteTopic(topic))
	_, err := run[Inserted](b, b.Insert, in)
	trouble := TroubleOf(err)
	require.Equal(t, Lost, trouble.Class)
	require.Equal(t, "KAFKA_TOPIC_DELETED", trouble.Name)
	require.Equal(t, &Gone{Partition: -1}, trouble.Gone)
	b.exact(0)
}

func TestAnUnreachableClickHouseIsAnOutageWithoutDoubt(t *testing.T) {
	b := setup(t)
	b.produce(10, 100)
	j := b.job(9)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	b.Inserter = clickhouse.NewInserter(clickhouse.Config{Hosts: []string{"127.0.0.1:1"}})
	_, err := run[Inserted](b, b.Insert, in)
	trouble := TroubleOf(err)
	require.Equal(t, Outage, trouble.Class)
	require.Equal(t, clickhouse.Unreachable, trouble.Name)
	require.False(t, trouble.Progress.Doubt, "nothing can have been sent: nobody has to wait")
	b.exact(0)
}
