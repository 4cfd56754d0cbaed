package integration

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/integration/rig"
)

// stopsWithin bounds what any program takes to end after SIGTERM; deploy/ gives each more than that.
const stopsWithin = 15 * time.Second

// quits asks the program to end, which it has to do in time and with success, and tells how long it took.
func (s *scene) quits(p *rig.Process) time.Duration {
	s.t.Helper()
	began := time.Now()
	p.Stop()
	took := time.Since(began).Round(10 * time.Millisecond)
	code, err := p.Wait(s.ctx)
	require.NoError(s.t, err)
	require.Zero(s.t, code, tail(p.Log()))
	require.Less(s.t, took, stopsWithin, p.Name())
	return took
}

// flows waits until so many more rows are stored.
func (s *scene) flows(rows int64) {
	s.t.Helper()
	before, err := s.Placed(s.ctx)
	require.NoError(s.t, err)
	require.NoError(s.t, s.Until(s.ctx, "wait for more rows", func(ctx context.Context) (bool, string) {
		now, err := s.Placed(ctx)
		return err == nil && now >= before+rows, fmt.Sprint(now-before, " more rows, ", err)
	}))
}

// temporalClient is a client of the scene's Temporal.
func (s *scene) temporalClient() client.Client {
	s.t.Helper()
	c, err := client.DialContext(s.ctx, client.Options{HostPort: s.Temporal.Addr()})
	require.NoError(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// attempts are how long the longest attempt of an activity of any batch took, from when it was asked for, and how many of them
// Temporal gave to another worker only after their heartbeat timeout.
func (s *scene) attempts() (longest time.Duration, givenUp int) {
	s.t.Helper()
	c := s.temporalClient()
	all, err := s.Find(s.ctx, `WorkflowType = "Ingest"`)
	require.NoError(s.t, err)
	require.NotEmpty(s.t, all)
	for _, b := range all {
		asked := map[int64]time.Time{}
		events := c.GetWorkflowHistory(s.ctx, b.ID, b.Run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			e, err := events.Next()
			require.NoError(s.t, err)
			at := e.GetEventTime().AsTime()
			var ended int64
			switch e.GetEventType() {
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
				asked[e.GetEventId()] = at
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
				ended = e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId()
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
				ended = e.GetActivityTaskFailedEventAttributes().GetScheduledEventId()
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
				ended = e.GetActivityTaskTimedOutEventAttributes().GetScheduledEventId()
				givenUp++
			default:
			}
			if ended != 0 {
				longest = max(longest, at.Sub(asked[ended]))
			}
		}
	}
	return longest, givenUp
}

// A deploy, a node that is drained, a scale-down: nobody may feel them.
func TestProgramsThatAreAskedToStopUnderLoadLeaveNothingWaiting(t *testing.T) {
	t.Parallel()
	s := &town{scene: newScene(t), kills: map[string]int{}}
	s.ready()
	worker, err := s.Worker()
	require.NoError(t, err)
	consumer, err := s.Consumer()
	require.NoError(t, err)
	_, err = s.sends(1500) // load that goes on all the time
	require.NoError(t, err)
	longest := map[string]time.Duration{}
	for range 3 {
		for name, both := range map[string][]*rig.Process{"worker": {s.worker, worker}, "consumer": {s.consumer, consumer}} {
			for _, p := range both {
				s.flows(2000)
				longest[name] = max(longest[name], s.quits(p))
				require.NoError(t, p.Restart())
			}
		}
		a, err := s.sends(500)
		require.NoError(t, err)
		s.says(a, "the client stores", func(r report) bool { return r.Flushed > 500 })
		longest["client"] = max(longest["client"], s.quits(a.Process))
		s.send(500) // with broken ones
	}
	s.leave()
	s.settled()
	attempt, givenUp := s.attempts()
	t.Logf("stops took at most %v, an attempt of an activity %s; %d were given up for want of a heartbeat", longest, attempt, givenUp)
	require.Less(t, attempt, activities.HeartbeatTimeout+stopsWithin, "a batch waited longer")
	s.clean(allTopics...)
}

// sends starts an agent that sends to Kafka alone: rows that come straight have no coordinates to count.
func (s *town) sends(rate int) (*agent, error) {
	a := &agent{number: len(s.agents) + 1}
	var err error
	a.Process, err = s.Launch("agent", []string{"FALLBACK_AFTER=-1s"}, "-agent", strconv.Itoa(a.number), "-rate", strconv.Itoa(rate))
	s.agents = append(s.agents, a)
	return a, err
}

// settled waits until all is stored that agents and the scene have sent, and counts it.
func (s *town) settled() {
	s.t.Helper()
	for _, a := range s.agents {
		s.sent.Good.Add(a.last(s.t).Accepted)
	}
	s.exact()
	for _, a := range s.agents {
		accepted := a.last(s.t).Accepted
		require.Equal(s.t, accepted, s.count("SELECT count() FROM "+numbered+" WHERE agent = ?", a.number), "agent %d", a.number)
		require.Equal(s.t, accepted, s.count("SELECT uniqExact(n) FROM "+numbered+" WHERE agent = ?", a.number), "agent %d", a.number)
	}
}

// ClickHouse answers nothing, so nothing that runs can end by itself: it is cut, and told of.
func TestAWorkerThatIsAskedToStopHandsOverWhatItCannotEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other, err := s.Worker()
	require.NoError(t, err)
	s.ready()
	require.NoError(t, s.AwaitLog(s.ctx, other, "worker is ready"))
	s.send(10_000)
	s.stored(1)
	require.NoError(t, s.ClickHouse.Freeze())
	s.send(20_000)
	c := s.temporalClient()
	require.NoError(t, s.Until(s.ctx, "the worker has an insert", func(ctx context.Context) (bool, string) {
		n, err := s.holds(ctx, c, s.worker)
		return n > 0, fmt.Sprint(err)
	}))
	took := s.quits(s.worker)
	n, err := s.holds(s.ctx, c, s.worker)
	require.NoError(t, err)
	require.Zero(t, n, "activities that wait for the heartbeat timeout of a worker that has gone")
	t.Logf("the worker handed over what it had within %s", took)
	require.NoError(t, s.ClickHouse.Thaw())
	s.exact()
}

// holds is how many activities Temporal takes the worker to be at.
func (s *scene) holds(ctx context.Context, c client.Client, p *rig.Process) (n int, err error) {
	open, err := s.Find(ctx, `WorkflowType = "Ingest" AND ExecutionStatus = "Running"`)
	for _, b := range open {
		d, err := c.DescribeWorkflowExecution(ctx, b.ID, b.Run)
		if err != nil {
			return 0, err
		}
		for _, a := range d.GetPendingActivities() {
			if a.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED && strings.HasPrefix(a.GetLastWorkerIdentity(), fmt.Sprintf("%d@", p.PID())) {
				n++
			}
		}
	}
	return n, err
}
