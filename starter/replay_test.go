package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/frontend/frontendtest"
	"github.com/ai-backlog/ingest/workflows"
)

// epoch is the timestamp of each partition's record 0; the next ones follow by a second.
var epoch = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

// history is a broker whose topic has 100 records in each of partitions 0 and 1, none in 2 and 3, the first 10 of partition 0
// deleted, and offset 80 committed for partition 0, 100 for partition 1.
func history(t *testing.T) (*kfake.Cluster, *kadm.Client) {
	t.Helper()
	c := broker(t)
	t.Setenv("KAFKA_GROUP_ID", "g")
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	for p := range int32(2) {
		for i := range 100 {
			r := &kgo.Record{Topic: topic, Partition: p, Value: []byte("x"), Timestamp: epoch.Add(time.Duration(i) * time.Second)}
			require.NoError(t, cl.ProduceSync(t.Context(), r).FirstErr()) // one batch each: kfake finds times by batch
		}
	}
	adm := kadm.NewClient(cl)
	gone := kadm.Offsets{}
	gone.AddOffset(topic, 0, 10, -1)
	_, err = adm.DeleteRecords(t.Context(), gone)
	require.NoError(t, err)
	os := kadm.Offsets{}
	os.AddOffset(topic, 0, 80, -1)
	os.AddOffset(topic, 1, 100, -1)
	require.NoError(t, adm.CommitAllOffsets(t.Context(), "g", os))
	return c, adm
}

func TestPickedIsWhatIsMeantBelowWhatIsCommitted(t *testing.T) {
	c, _ := history(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	at := func(s int) string { return epoch.Add(time.Duration(s) * time.Second).Format(time.RFC3339) }
	r := func(p int32, first, last int64) batch.Range {
		return batch.Range{Partition: p, First: first, Last: last}
	}
	for name, w := range map[string]struct {
		pick           pick
		ranges         batch.Ranges
		above, deleted int64
	}{
		"all":                        {pick{all: true}, batch.Ranges{r(0, 10, 79), r(1, 0, 99)}, 20, 0},
		"from an offset":             {pick{from: "70"}, batch.Ranges{r(0, 70, 79), r(1, 70, 99)}, 20, 0},
		"from a deleted offset":      {pick{from: "5", to: "12"}, batch.Ranges{r(0, 10, 12), r(1, 5, 12)}, 0, 5},
		"to an offset, included":     {pick{to: "20"}, batch.Ranges{r(0, 10, 20), r(1, 0, 20)}, 0, 0},
		"from a time":                {pick{from: at(75)}, batch.Ranges{r(0, 75, 79), r(1, 75, 99)}, 20, 0},
		"between two times":          {pick{from: at(30), to: at(40)}, batch.Ranges{r(0, 30, 39), r(1, 30, 39)}, 0, 0},
		"a time and an offset":       {pick{from: at(30), to: "31"}, batch.Ranges{r(0, 30, 31), r(1, 30, 31)}, 0, 0},
		"after the last record":      {pick{from: at(1000)}, nil, 0, 0},
		"before the first":           {pick{to: at(-1)}, nil, 0, 0},
		"ranges":                     {pick{ranges: []string{"1:4-6", "1:7", "0:0-11", "1:6-9"}}, batch.Ranges{r(0, 10, 11), r(1, 4, 9)}, 0, 10},
		"behind the end":             {pick{ranges: []string{"1:90-2000"}}, batch.Ranges{r(1, 90, 99)}, 0, 0},
		"a partition without commit": {pick{ranges: []string{"2:0-5"}}, nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, w.pick.check())
			got, err := w.pick.resolve(t.Context(), cl, "g", topic)
			require.NoError(t, err)
			require.Equal(t, w.ranges, got.ranges)
			require.Equal(t, []int64{w.above, w.deleted}, []int64{got.above, got.deleted})
		})
	}
}

func TestReplaySaysWhatIsWrongWithItsArguments(t *testing.T) {
	history(t)
	for name, c := range map[string]struct {
		args string
		want []string
	}{
		"nothing":          {"", []string{"--topic"}},
		"no offsets":       {"--topic " + topic, []string{"say which offsets", "--all"}},
		"two ways":         {"--topic " + topic + " --all 3:1-2", []string{"say which offsets"}},
		"no range":         {"--topic " + topic + " 3-7", []string{`"3-7" is no range`, "3:100-199"}},
		"backwards":        {"--topic " + topic + " 3:7-5", []string{`"3:7-5" is no range`}},
		"no time":          {"--topic " + topic + " --from yesterday", []string{`--from "yesterday"`, "2026-01-02T03:04:05Z"}},
		"no such topic":    {"--topic nowhere --all", []string{"topic nowhere is none of those", topic}},
		"missing topic":    {"--topic ai_backlog_metrics --all", []string{"ai_backlog_metrics", "does not exist"}},
		"no commits":       {"--topic ai_backlog_events --all", []string{"group g has no committed offsets", "KAFKA_GROUP_ID"}},
		"unknown part":     {"--topic " + topic + " 9:1-2", []string{"no partition 9"}},
		"attach and topic": {"--attach x --topic " + topic, []string{"--attach"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := starter(t, "", append([]string{"replay"}, strings.Fields(c.args)...)...)
			require.Error(t, err)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.NotContains(t, err.Error(), "\n")
			require.Empty(t, out)
			require.Equal(t, 1, exitCode(err))
		})
	}
}

func TestReplayRefusesMoreRangesThanARequestTakes(t *testing.T) {
	c, adm := history(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	args := []string{"replay", "--topic", topic}
	for i := range workflows.MaxReplayRanges + 1 {
		cl.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: 3}, nil)
		cl.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: 3}, nil)
		args = append(args, "3:"+strconv.Itoa(2*i))
	}
	require.NoError(t, cl.Flush(t.Context()))
	os := kadm.Offsets{}
	os.AddOffset(topic, 3, 2*workflows.MaxReplayRanges+2, -1)
	require.NoError(t, adm.CommitAllOffsets(t.Context(), "g", os))
	_, _, err = starter(t, "", args...)
	require.ErrorContains(t, err, "2001 ranges are more than the 2000 of one replay")
}

func TestReplayOfNothingStartsNothing(t *testing.T) {
	history(t)
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	out, log, err := starter(t, "", "replay", "--topic", topic, "--json", "0:80-99")
	require.NoError(t, err)
	require.Equal(t, "left out: 20 offsets above what is committed, which batches are still to bring\nthere is nothing to replay\n", log)
	require.JSONEq(t, `{"offsets":0,"present":0,"stored":0,"dead_lettered":0,"holes":0,"lost":0,"skipped":0,"batches":0}`, out)
}

// operations runs a stub of Replay, which ends when it is told. Real requests are tested where a planner is.
func operations(t *testing.T) temporal {
	t.Helper()
	frontendtest.Needed(t)
	c, err := dialTemporal(t.Context())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	w := worker.New(c.Client, workflows.OperationsQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, in workflows.ReplayInput) (workflows.ReplayResult, error) {
		err := workflow.SetQueryHandler(ctx, workflows.QueryProgress, func() (workflows.ReplayProgress, error) {
			return workflows.ReplayProgress{Asked: in.Ranges.Len(), Covered: 1}, nil
		})
		if err != nil {
			return workflows.ReplayResult{}, err
		}
		workflow.GetSignalChannel(ctx, "end").Receive(ctx, nil)
		return workflows.ReplayResult{Offsets: in.Ranges.Len(), Stored: 2, Present: in.Ranges.Len() - 2, Batches: 1}, nil
	}, workflow.RegisterOptions{Name: "Replay"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return c
}

func TestReplayIsAWorkflowThatCanBeLeftAndFoundAgain(t *testing.T) {
	c := operations(t)
	history(t)
	began := time.Now()
	out, log, err := starter(t, "", "replay", "--topic", topic, "--wait=false", "--json", "--after-erase", "--reason", "a test", "--to", "19")
	require.NoError(t, err)
	var started struct {
		Workflow string `json:"workflow_id"`
		Asked    int64
	}
	require.NoError(t, json.Unmarshal([]byte(out), &started))
	require.EqualValues(t, 30, started.Asked)
	require.Contains(t, started.Workflow, "g/"+topic+"/")
	require.Contains(t, log, "30 offsets of 2 partitions")
	t.Cleanup(func() { _ = c.TerminateWorkflow(context.Background(), started.Workflow, "", "the test is over") })

	first, err := c.GetWorkflowHistory(t.Context(), started.Workflow, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	require.NoError(t, err)
	var in workflows.ReplayInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in))
	require.Equal(t, batch.Ranges{{Partition: 0, First: 10, Last: 19}, {Partition: 1, First: 0, Last: 19}}, in.Ranges)
	require.Equal(t, "a test", in.Reason)
	require.WithinDuration(t, began.Add(75*time.Second), in.NotBefore, 10*time.Second)

	ctx, interrupt := context.WithTimeout(t.Context(), time.Second) // ctrl-C
	defer interrupt()
	cmd := newRoot()
	cmd.SetArgs([]string{"replay", "--attach", started.Workflow})
	err = cmd.ExecuteContext(ctx)
	require.ErrorContains(t, err, "the replay goes on; to wait for it again: starter replay --attach "+started.Workflow)
	require.Equal(t, 130, exitCode(err))

	require.NoError(t, c.SignalWorkflow(t.Context(), started.Workflow, "", "end", nil))
	var table bytes.Buffer
	cmd = newRoot()
	cmd.SetArgs([]string{"replay", "--attach", started.Workflow})
	cmd.SetOut(&table)
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	require.Equal(t, []string{
		"offsets", "30", "inserted", "2", "there", "already", "28", "dead-lettered", "0", "lost", "0", "skipped", "0", "without", "a", "record", "0", "batches", "1",
	}, strings.Fields(table.String()))
	out, _, err = starter(t, "", "replay", "--json", "--attach", started.Workflow)
	require.NoError(t, err)
	require.Contains(t, out, `"stored":2`)
}

func TestReplayTellsHowAnotherEndedIt(t *testing.T) {
	c := operations(t)
	history(t)
	_, log, err := starter(t, "", "replay", "--topic", topic, "--wait=false", "--all")
	require.NoError(t, err)
	_, id, _ := strings.Cut(log, "replay ")
	id, _, _ = strings.Cut(id, ":")
	require.NoError(t, c.TerminateWorkflow(t.Context(), id, "", "by an operator"))
	_, _, err = starter(t, "", "replay", "--attach", id)
	require.ErrorContains(t, err, "ended from outside: Terminated")
	_, _, err = starter(t, "", "replay", "--attach", id+"x")
	require.ErrorContains(t, err, "there is no replay "+id+"x at TEMPORAL_ADDRESS=")
}
