package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// overview is what starter status says.
type overview struct {
	Verdict string
	Topics  []struct {
		Topic       string
		Sent        *float64 `json:"sent_per_second"`
		Stored      *float64 `json:"stored_per_second"`
		Lag         *int64   `json:"lag_records"`
		LagSeconds  *float64 `json:"lag_seconds"`
		P50         *float64 `json:"freshness_p50_seconds"`
		Batches     map[string]int
		DeadLetters *int64 `json:"dead_letters"`
		Planners    []string
	}
	Workers  []string
	Problems []struct{ Topic, What, Command, Section string }
	Unknown  []string `json:"could_not_tell"`
}

// status runs starter status and answers what it says, with its exit code and output.
func (s *scene) status(metrics string) (o overview, code int, out string) {
	s.t.Helper()
	p, err := s.Starter("status", "--json", "--metrics", metrics)
	require.NoError(s.t, err)
	code, err = p.Wait(s.ctx)
	require.NoError(s.t, err)
	first, _, _ := strings.Cut(p.Log(), "\n")
	require.NoError(s.t, json.Unmarshal([]byte(first), &o), p.Log())
	return o, code, p.Log()
}

// says waits for a status.
func (s *scene) says(metrics string, is func(overview) bool) (o overview, code int, out string) {
	s.t.Helper()
	require.NoError(s.t, s.Until(s.ctx, "status", func(context.Context) (bool, string) {
		o, code, out = s.status(metrics)
		return is(o), out
	}))
	return o, code, out
}

// What status names is so, and the command that it names shows it.
func TestStatusTellsWhetherDataFlowsAndNamesTheCommandThatShowsWhyNot(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	metrics := s.measured()
	consumer := s.consumer.MetricsAddr()

	stop := s.keepSending(200)
	o, code, out := s.says(metrics, func(o overview) bool {
		t := o.Topics[0]
		return o.Verdict == "flowing" && t.Sent != nil && *t.Sent > 0 && t.Stored != nil && *t.Stored > 0 && t.Lag != nil && t.LagSeconds != nil && t.P50 != nil && *t.P50 > 0
	})
	require.Zero(t, code, out)
	require.Len(t, o.Topics, 3)
	for _, topic := range o.Topics {
		require.Equal(t, []string{consumer}, topic.Planners, topic.Topic)
		require.NotNil(t, topic.DeadLetters, topic.Topic)
	}
	require.NotEmpty(t, o.Workers)
	require.Empty(t, o.Unknown)

	o, code, out = s.status("127.0.0.1:1") // batches are known all the same
	require.Equal(t, 2, code, out)
	require.Equal(t, "could not tell", o.Verdict)
	require.NotNil(t, o.Topics[0].Batches)
	require.Nil(t, o.Topics[0].Lag)
	require.Len(t, o.Unknown, 1)

	require.NoError(t, s.ClickHouse.Kill())
	s.names(metrics, load.Logs, "waiting", "UNREACHABLE", "docs/operations.md#clickhouse-cannot-be-reached")
	require.NoError(t, s.ClickHouse.Start(s.ctx))
	stop()
	s.exact()
	s.saysFlowing(metrics)

	s.exec("RENAME TABLE logs TO away")
	s.sendGood(500)
	s.names(metrics, load.Logs, "blocked", "UNKNOWN_TABLE", "docs/operations.md#blocked")
	s.exec("RENAME TABLE away TO logs")
	s.starter("resolve", "--state", "blocked", "retry")
	s.exact()
	s.saysFlowing(metrics)
	s.clean(load.Logs, load.Metrics, load.Events)
}

// measured lets a worker and a consumer that serve metrics take over, and is where they do.
func (s *scene) measured() string {
	t := s.t
	t.Helper()
	s.consumer.Stop()
	consumer := s.watched()
	worker, err := s.Worker(rig.MetricsAnywhere)
	require.NoError(t, err)
	s.worker.Stop()
	s.worker, s.consumer = worker, consumer
	require.NoError(t, s.AwaitLog(s.ctx, worker, "worker is ready"))
	require.NoError(t, s.AwaitLog(s.ctx, consumer, "metrics are served"))
	return consumer.MetricsAddr() + "," + worker.MetricsAddr()
}

// Temporal takes the killed worker for alive for a while, and a consumer without Kafka plans nothing: status says neither that data
// flows, nor that another consumer is to be named.
func TestStatusDoesNotSayThatDataFlowsWithoutAWorkerOrKafka(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	metrics := s.measured()
	s.sendGood(100)
	s.saysFlowing(metrics)

	s.worker.Kill()
	s.sendGood(500)
	o, code, out := s.says(metrics, func(o overview) bool { return o.Topics[0].Lag != nil && *o.Topics[0].Lag > 0 })
	require.Equal(t, 2, code, out)
	require.Equal(t, "could not tell", o.Verdict)
	require.NotEmpty(t, o.Workers, "Temporal knows no better")
	require.Contains(t, out, "no metrics at "+s.worker.MetricsAddr())

	require.NoError(t, s.Kafka.Kill())
	consumer := s.consumer.MetricsAddr()
	o, code, out = s.says(consumer, func(o overview) bool { return o.Topics[0].Lag == nil })
	require.Equal(t, 2, code, out)
	require.NotEmpty(t, o.Unknown)
	for _, line := range o.Unknown {
		require.Contains(t, line, "planning waits (docs/operations.md#nobody-plans)")
	}
}

// names waits until status names batches of the topic in that state, and runs the command that it names with it.
func (s *scene) names(metrics, topic, state, why, section string) {
	t := s.t
	t.Helper()
	var command string
	_, code, out := s.says(metrics, func(o overview) bool {
		for _, p := range o.Problems {
			if p.Topic == topic && strings.Contains(p.What, state) && strings.HasSuffix(p.What, ": "+why) && p.Section == section {
				command = p.Command
				return o.Verdict == "needs somebody"
			}
		}
		return false
	})
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "starter: needs somebody: ")
	words := strings.Fields(command)
	require.Equal(t, "starter", words[0])
	shown := s.starter(words[1:]...)
	require.Contains(t, shown, why)
	require.Contains(t, shown, fmt.Sprintf("%s/%s/", rig.Group, topic), "the batch")
}

// saysFlowing waits until status says that nothing is wrong any more.
func (s *scene) saysFlowing(metrics string) {
	s.t.Helper()
	_, code, out := s.says(metrics, func(o overview) bool { return o.Verdict == "flowing" })
	require.Zero(s.t, code, out)
}
