package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/ai-backlog/ingest/clickhouse"
)

// Over 4 KiB Temporal's server throws the type and the details away.
func TestAnyTroubleCrossesTemporalWithItsDetails(t *testing.T) {
	for _, class := range []Class{Outage, Blocked} {
		trouble := func(ctx context.Context) error {
			return failIn(ctx, Trouble{Class: class, Name: "X", Message: strings.Repeat("x", 100_000)})
		}
		var s testsuite.WorkflowTestSuite
		env := s.NewTestActivityEnvironment()
		env.RegisterActivity(trouble)
		_, err := env.ExecuteActivity(trouble)
		var app *temporal.ApplicationError
		require.ErrorAs(t, err, &app)
		var back Trouble
		require.NoError(t, app.Details(&back))
		require.Equal(t, class, back.Class)
		j, err := json.Marshal(back)
		require.NoError(t, err)
		require.Less(t, len(j)+len(app.Message()), 2048)
	}
}

func TestADeletedTopicIsLostAltogether(t *testing.T) {
	b := setup(t)
	b.produce(10, 100)
	j := b.job(9)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	_, err := b.adm.DeleteTopic(b.ctx, topic)
	require.NoError(t, err)
	_, err = run[Inserted](b, b.Insert, in)
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

func TestARightThatKafkaDeniesIsAnOperatorsToGive(t *testing.T) {
	trouble := troubleOf(fmt.Errorf("copy: %w", kerr.TopicAuthorizationFailed))
	require.Equal(t, Blocked, trouble.Class)
	require.Equal(t, "KAFKA_ACCESS_DENIED", trouble.Name)
}
