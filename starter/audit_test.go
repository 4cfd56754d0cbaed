package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/frontend/frontendtest"
	"github.com/ai-backlog/ingest/workflows"
)

func findings(rs ...batch.Range) activities.Findings {
	return activities.Findings{Offsets: batch.Ranges(rs).Len(), Ranges: rs}
}

func TestAnAuditIsPrinted(t *testing.T) {
	clean := workflows.AuditOutcome{Topic: topic, Audited: activities.Audited{Offsets: 600, Stored: 580, Dead: 12, Holes: 8}}
	var out bytes.Buffer
	require.NoError(t, auditFlags{}.print(&out, report{Workflow: "w", AuditOutcome: clean}))
	require.Equal(t, `ai_backlog_logs        clean
offsets compared       600
stored                 580
dead letters           12
holes                  8
lost                   0
skipped                0
gaps                   0
stored more than once  0
both stored and dead   0
`, out.String())

	bad := clean
	bad.Gaps = findings(batch.Range{First: 100, Last: 136})
	bad.Doubled = findings(batch.Range{Partition: 1, First: 63, Last: 65}, batch.Range{Partition: 1, First: 99, Last: 99})
	bad.Doubled.Offsets, bad.Doubled.More = 1000, true
	bad.Expired, bad.Moved = 7, 2
	bad.Untold = []activities.Untold{{Partitions: []int32{2, 3}, Why: "no commit"}}
	out.Reset()
	err := auditFlags{}.print(&out, report{Workflow: "w", AuditOutcome: bad})
	require.EqualError(t, err, "not clean: gap: 37, stored more than once: 1000")
	require.Equal(t, 1, exitCode(err))
	for _, line := range []string{
		"ai_backlog_logs        not clean", "expired 7", "came in meanwhile 2", "gaps 37", "gap 0:100-136 37", "stored more than once  1:63-65  3", "stored more than once  1:99 1", "stored more than once … 996",
		"could not tell of partitions 2, 3: no commit",
	} {
		require.Contains(t, strings.Join(strings.Fields(out.String()), " "), strings.Join(strings.Fields(line), " "))
	}
	out.Reset()
	require.Error(t, auditFlags{json: true}.print(&out, report{Workflow: "w", AuditOutcome: bad}))
	var back report
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, report{Verdict: "not clean", Workflow: "w", AuditOutcome: bad}, back)

	clean.Untold = bad.Untold
	err = auditFlags{}.print(&out, report{AuditOutcome: clean})
	require.EqualError(t, err, "could not tell: no commit")
	require.Equal(t, 2, exitCode(err))
}

func TestDirectRowsArePrintedIfThereAreAny(t *testing.T) {
	o := workflows.AuditOutcome{Topic: topic, Audited: activities.Audited{Offsets: 600, Stored: 600}, Direct: activities.Direct{Rows: 12, Doubt: 5, Removed: 4}}
	var out bytes.Buffer
	require.NoError(t, auditFlags{}.print(&out, report{AuditOutcome: o}), "what was removed is no fault")
	require.Equal(t, `ai_backlog_logs             clean
offsets compared            600
stored                      600
dead letters                0
holes                       0
lost                        0
skipped                     0
gaps                        0
stored more than once       0
both stored and dead        0
direct rows                 12
direct, in doubt            5
direct copies removed       4
direct rows more than once  0
`, out.String())

	o.Direct.Twice, o.Direct.TwiceEvents = 3, []uuid.UUID{uuid.MustParse("01900000-0000-7000-8000-000000000001")}
	out.Reset()
	err := auditFlags{}.print(&out, report{AuditOutcome: o})
	require.EqualError(t, err, "not clean: direct row more than once: 3")
	require.Equal(t, 1, exitCode(err))
	require.True(t, strings.HasSuffix(out.String(), "direct rows more than once  3\n\ndirect row more than once, by event_id:\n01900000-0000-7000-8000-000000000001\n… and 2 more\n"), out.String())
	out.Reset()
	require.Error(t, auditFlags{json: true}.print(&out, report{AuditOutcome: o}))
	require.Contains(t, out.String(), `"direct":{"rows":12,"doubt":5,"removed":4,"twice":3,"twice_events":["01900000-0000-7000-8000-000000000001"]}`)

	o.Direct = activities.Direct{Rows: 2, Kept: 1}
	o.Untold = []activities.Untold{{Why: "ACCESS_DENIED: grant it"}}
	out.Reset()
	err = auditFlags{}.print(&out, report{AuditOutcome: o})
	require.EqualError(t, err, "could not tell: ACCESS_DENIED: grant it")
	require.Equal(t, 2, exitCode(err))
	require.Contains(t, out.String(), "direct copies that stay     1\n")
}

func TestAuditSaysWhatIsWrongWithItsArguments(t *testing.T) {
	history(t)
	for name, c := range map[string]struct {
		args string
		want []string
		code int
	}{
		"nothing":             {"audit", []string{"--topic"}, 2},
		"two ways":            {"audit --topic " + topic + " --all 3:1-2", []string{"say which offsets"}, 2},
		"no range":            {"audit --topic " + topic + " 3-7", []string{`"3-7" is no range`}, 2},
		"no such flag":        {"audit --topics x", []string{"unknown flag: --topics"}, 2},
		"no such topic":       {"audit --topic nowhere", []string{"topic nowhere is none of those", topic}, 2},
		"missing topic":       {"audit --topic ai_backlog_metrics", []string{"ai_backlog_metrics", "does not exist"}, 2},
		"unknown partition":   {"audit --topic " + topic + " 9:1-2", []string{"no partition 9"}, 2},
		"none of that time":   {"audit --topic " + topic + " --to 2020-01-02T03:04:05Z", []string{"nothing to compare"}, 2},
		"attach and topic":    {"audit --attach x --topic " + topic, []string{"--attach"}, 2},
		"schedule of nothing": {"audit schedule --every 1h", []string{"--topic"}, 1},
		"never":               {"audit schedule --topic " + topic, []string{"--every 1h", "--delete"}, 1},
		"both":                {"audit schedule --topic " + topic + " --every 1h --delete", []string{"--every 1h"}, 1},
		"too often":           {"audit schedule --topic " + topic + " --every 1s", []string{"--every 1s is too often: give 1m0s or more"}, 1},
		"backwards":           {"audit schedule --topic " + topic + " --every -1h", []string{"too often"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := starter(t, "", strings.Fields(c.args)...)
			require.Error(t, err)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.NotContains(t, err.Error(), "\n")
			require.Empty(t, out)
			require.Equal(t, c.code, exitCode(err))
		})
	}
}

// audits runs stubs of Audit, which answer in turn, the last one for good, and of Replay. Real ones are tested where their
// activities are.
func audits(t *testing.T, answers ...activities.Audited) (c temporal, replays *atomic.Pointer[workflows.ReplayInput]) {
	t.Helper()
	frontendtest.Needed(t)
	c, err := dialTemporal(t.Context())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	var n atomic.Int64
	replays = &atomic.Pointer[workflows.ReplayInput]{}
	w := worker.New(c.Client, workflows.OperationsQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, in workflows.AuditInput) (workflows.AuditOutcome, error) {
		if err := workflow.SetQueryHandler(ctx, workflows.QueryProgress, func() (workflows.AuditProgress, error) {
			return workflows.AuditProgress{Phase: "comparing", Done: 1, Total: 2}, nil
		}); err != nil {
			return workflows.AuditOutcome{}, err
		}
		if len(answers) == 0 {
			workflow.GetSignalChannel(ctx, "end").Receive(ctx, nil)
			return workflows.AuditOutcome{Group: in.Group, Topic: in.Topic, TopicID: in.TopicID, Ranges: in.Ranges}, nil
		}
		at := min(n.Add(1), int64(len(answers)))
		return workflows.AuditOutcome{Group: in.Group, Topic: in.Topic, TopicID: in.TopicID, Ranges: in.Ranges, Audited: answers[at-1], Direct: activities.Direct{Rows: 5 - at, Removed: 1}}, nil
	}, workflow.RegisterOptions{Name: "Audit"})
	w.RegisterWorkflowWithOptions(func(_ workflow.Context, in workflows.ReplayInput) (workflows.ReplayResult, error) {
		replays.Store(&in)
		return workflows.ReplayResult{Offsets: in.Ranges.Len(), Stored: in.Ranges.Len()}, nil
	}, workflow.RegisterOptions{Name: "Replay"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return c, replays
}

func TestAuditIsAWorkflowThatCanBeLeftAndFoundAgain(t *testing.T) {
	c, _ := audits(t)
	history(t)
	ctx, interrupt := context.WithTimeout(t.Context(), 2*time.Second) // ctrl-C
	defer interrupt()
	var log bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs([]string{"audit", "--topic", topic, "--from", "20", "--to", "29"})
	cmd.SetErr(&log)
	err := cmd.ExecuteContext(ctx)
	require.Equal(t, 130, exitCode(err))
	_, id, found := strings.Cut(err.Error(), "starter audit --attach ")
	require.True(t, found, err.Error())
	require.Contains(t, id, "g/"+topic+"/")
	require.Contains(t, id, "/audit/")
	require.Equal(t, "audit "+id+"\n", log.String())

	require.NoError(t, c.SignalWorkflow(t.Context(), id, "", "end", nil))
	out, _, err := starter(t, "", "audit", "--json", "--attach", id)
	require.NoError(t, err)
	var r report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, "clean", r.Verdict)
	require.Equal(t, id, r.Workflow)
	require.Len(t, r.Ranges, 4, "of every partition; the workflow knows what there is")
	require.Equal(t, batch.Range{Partition: 1, First: 20, Last: 29}, r.Ranges[1])

	_, _, err = starter(t, "", "audit", "--attach", id+"x")
	require.ErrorContains(t, err, "there is no audit "+id+"x")
	require.Equal(t, 2, exitCode(err))
}

func TestRepairReplaysGapsAsLongAsThatHelps(t *testing.T) {
	gaps := batch.Range{Partition: 1, First: 5, Last: 9}
	for name, c := range map[string]struct {
		answers []activities.Audited
		replays int
		code    int
	}{
		"there is nothing to mend":  {[]activities.Audited{{Offsets: 10, Stored: 10}}, 0, 0},
		"it helps":                  {[]activities.Audited{{Offsets: 10, Gaps: findings(gaps)}, {Offsets: 10, Stored: 10}}, 1, 0},
		"it helps a bit":            {[]activities.Audited{{Offsets: 10, Gaps: findings(gaps)}, {Offsets: 10, Gaps: findings(batch.Range{First: 7, Last: 7})}}, 2, 1},
		"doubles cannot be mended":  {[]activities.Audited{{Offsets: 10, Doubled: findings(gaps)}}, 0, 1},
		"gaps go and doubles stay":  {[]activities.Audited{{Offsets: 10, Gaps: findings(gaps), Doubled: findings(gaps)}, {Offsets: 10, Doubled: findings(gaps)}}, 1, 1},
		"it does not help anything": {[]activities.Audited{{Offsets: 10, Gaps: findings(gaps)}}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, replays := audits(t, c.answers...)
			history(t)
			began := time.Now()
			out, _, err := starter(t, "", "audit", "--json", "--repair", "--topic", topic)
			require.Equal(t, c.code, exitCode(err), "%v", err)
			var r report
			require.NoError(t, json.Unmarshal([]byte(out), &r))
			require.Len(t, r.Replays, c.replays)
			require.EqualValues(t, c.replays+1, r.Direct.Removed, "of all audits")
			if c.replays == 0 {
				require.Nil(t, replays.Load())
				return
			}
			in := replays.Load()
			require.Equal(t, r.TopicID, in.TopicID)
			require.Equal(t, "g", in.Group)
			require.WithinDuration(t, began.Add(activities.Quiet), in.NotBefore, 20*time.Second)
			require.NotEmpty(t, in.Ranges)
		})
	}
}

func TestAScheduleIsMadeChangedAndDeleted(t *testing.T) {
	c, _ := audits(t, activities.Audited{Offsets: 10, Stored: 10})
	broker(t)
	t.Setenv("KAFKA_GROUP_ID", "schedule-test")
	id := "schedule-test/" + topic + "/audit"
	t.Cleanup(func() { _ = c.ScheduleClient().GetHandle(context.Background(), id).Delete(context.Background()) })
	for _, every := range []string{"1h", "2h"} {
		out, _, err := starter(t, "", "audit", "schedule", "--topic", topic, "--every", every)
		require.NoError(t, err)
		require.Contains(t, out, "schedule "+id+": ")
		require.Contains(t, out, "every "+every)
		require.Equal(t, every == "2h", strings.Contains(out, "changed"))
	}
	h := c.ScheduleClient().GetHandle(t.Context(), id)
	d, err := h.Describe(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*time.Hour, d.Schedule.Spec.Intervals[0].Every)
	require.Equal(t, enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, d.Schedule.Policy.Overlap)

	var audited string // at once, not after an hour
	require.Eventually(t, func() bool {
		d, err = h.Describe(t.Context())
		if err != nil || len(d.Info.RecentActions) == 0 {
			return false
		}
		audited = d.Info.RecentActions[0].StartWorkflowResult.WorkflowID
		return audited != ""
	}, 20*time.Second, 100*time.Millisecond)
	require.Len(t, d.Info.RecentActions, 1, "once, though it was changed")
	require.True(t, strings.HasPrefix(audited, id+"-"), audited)
	first, err := c.GetWorkflowHistory(t.Context(), audited, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	require.NoError(t, err)
	var in workflows.AuditInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in))
	require.Equal(t, workflows.AuditInput{AuditScope: activities.AuditScope{Group: "schedule-test", Topic: topic}}, in)
	out, _, err := starter(t, "", "audit", "--attach", audited)
	require.NoError(t, err)
	require.Contains(t, out, "clean")

	for _, want := range []string{"deleted", "was not there"} {
		out, _, err := starter(t, "", "audit", "schedule", "--topic", topic, "--delete")
		require.NoError(t, err)
		require.Equal(t, "schedule "+id+": "+want+"\n", out)
	}
	_, err = h.Describe(t.Context())
	var none *serviceerror.NotFound
	require.ErrorAs(t, err, &none)
}
