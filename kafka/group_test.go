package kafka

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/kafka/kafkatest"
)

const (
	session = 6 * time.Second
	patient = 20 * time.Second
	often   = 10 * time.Millisecond
)

// cluster is what members join.
type cluster interface{ ListenAddrs() []string }

func join(t *testing.T, c cluster, topics ...string) *Member {
	t.Helper()
	return joinWith(t, c, topics)
}

func joinWith(t *testing.T, c cluster, topics []string, opts ...kgo.Opt) *Member {
	t.Helper()
	m, err := Join(Config{Servers: c.ListenAddrs(), GroupID: "g", SecurityProtocol: "PLAINTEXT"}, session, topics, opts...)
	require.NoError(t, err)
	t.Cleanup(m.Client.Close)
	return m
}

// tell sets the member's clock, which the group may look at meanwhile.
func (m *Member) tell(now func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now
}

// fake is a cluster that can be made to fail.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(2))...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// members is how many the group has, if it is at rest.
func members(t *testing.T, m *Member) int {
	t.Helper()
	groups, err := kadm.NewClient(m.Client).DescribeGroups(t.Context(), "g")
	if g := groups["g"]; err == nil && g.State == "Stable" {
		return len(g.Members)
	}
	return 0
}

// holding waits until the member plans the topic.
func holding(t *testing.T, m *Member, topic string) int64 {
	t.Helper()
	require.Eventually(t, func() bool { return m.Holds(topic) != 0 }, patient, often)
	return m.Holds(topic)
}

func TestATopicIsPlannedByOneMemberAndHandedOn(t *testing.T) {
	c := kafkatest.New(t, 3, []string{"a", "b"}, kfake.NumBrokers(2))
	m1 := join(t, c, "a", "b")
	was := holding(t, m1, "a")
	require.NotEqual(t, was, holding(t, m1, "b"), "each assignment has a number of its own")
	m2 := join(t, c, "a", "b")
	require.Eventually(t, func() bool { return members(t, m1) == 2 }, patient, often)
	for _, topic := range []string{"a", "b"} {
		require.Eventually(t, func() bool { return (m1.Holds(topic) != 0) != (m2.Holds(topic) != 0) }, patient, often)
	}
	m1.Client.Close() // leaves: no session timeout to wait for
	holding(t, m2, "a")
	holding(t, m2, "b")
	require.Zero(t, m1.Holds("a"))
}

func TestNothingIsFetchedOrCommittedByAMember(t *testing.T) {
	c := fake(t, kfake.SeedTopics(1, "a"))
	fetched := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
	m := join(t, c, "a")
	holding(t, m, "a")
	require.NoError(t, m.Client.ProduceSync(t.Context(), &kgo.Record{Topic: "a", Value: []byte("x")}).FirstErr())
	m.renew(t.Context())
	at, err := m.Fetch(t.Context(), "a")
	require.NoError(t, err)
	require.Empty(t, at, "a virgin topic stays one")
	require.Zero(t, fetched.Hits())
}

func TestTheLeaseIsAsOldAsTheLastAcceptedHeartbeat(t *testing.T) {
	c := fake(t, kfake.SeedTopics(1, "a"))
	m := joinWith(t, c, []string{"a"}, kgo.HeartbeatInterval(session-time.Second)) // the client's own would meet the faults too
	var shift atomic.Int64
	m.tell(func() time.Time { return time.Now().Add(time.Duration(shift.Load())) })
	a := holding(t, m, "a")
	require.False(t, m.Lease("a", a), "nothing was accepted yet")

	require.Eventually(t, func() bool { m.renew(t.Context()); return m.Lease("a", a) }, patient, often)
	require.False(t, m.Lease("a", a+1), "another assignment")
	require.False(t, m.Lease("b", 0), "a topic that nobody assigned")

	// Time is the only thing that ends it, and a refused heartbeat does not help.
	for _, refused := range []*kerr.Error{kerr.IllegalGeneration, kerr.RebalanceInProgress, kerr.UnknownMemberID} {
		m.renew(t.Context())
		require.True(t, m.Lease("a", a))
		shift.Add(int64(session - time.Second))
		require.False(t, m.Lease("a", a))
		h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: refused, Count: -1})
		m.renew(t.Context())
		require.Positive(t, h.Hits())
		require.False(t, m.Lease("a", a), "after %v", refused)
		h.Remove()
	}
	m.renew(t.Context())
	require.True(t, m.Lease("a", a))
}

func TestALateAnswerMakesNoYoungLease(t *testing.T) {
	c := kafkatest.New(t, 1, []string{"a"})
	m := join(t, c, "a")
	a := holding(t, m, "a")
	var calls atomic.Int64
	began := time.Now()
	m.tell(func() time.Time { // sent at the first call; asked long after
		if calls.Add(1) == 1 {
			return began
		}
		return began.Add(session)
	})
	m.renew(t.Context())
	require.Equal(t, began, m.good)
	require.False(t, m.Lease("a", a))
}

// dropped makes m1 the planner of "a", then m2, because m1's JoinGroup is late:
// m1 is out of the group and does not know until it is let in.
func dropped(t *testing.T) (c *kfake.Cluster, m1, m2 *Member, letIn func()) {
	t.Helper()
	c = fake(t, kfake.SeedTopics(1, "a"))
	m1 = join(t, c, "a")
	a := holding(t, m1, "a")
	id, _ := m1.Client.GroupMetadata()
	late := make(chan struct{})
	letIn = sync.OnceFunc(func() { close(late) })
	t.Cleanup(letIn)
	var caught atomic.Bool
	c.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if r.(*kmsg.JoinGroupRequest).MemberID == id && !caught.Swap(true) {
			c.SleepControl(func() { <-late })
		}
		return nil, nil, false
	})
	m2 = join(t, c, "a")
	require.Eventually(t, caught.Load, patient, often)
	holding(t, m2, "a")
	require.Equal(t, a, m1.Holds("a"), "it does not know")
	m1.renew(t.Context())
	require.False(t, m1.Lease("a", a))
	return c, m1, m2, letIn
}

func TestADroppedMemberThatGetsATopicBackTakesItOver(t *testing.T) {
	_, m1, m2, letIn := dropped(t)
	was := m1.Holds("a")
	m2.Client.Close() // it planned, and has left
	letIn()
	require.Eventually(t, func() bool { return m1.Holds("a") != was }, patient, often, "the number of before: no takeover")
	now := holding(t, m1, "a")
	m1.renew(t.Context())
	require.True(t, m1.Lease("a", now))
	require.False(t, m1.Lease("a", was))
}

func TestTwoMembersNeverHaveTheLeaseAtOnce(t *testing.T) {
	c, m1, m2, letIn := dropped(t)
	old, _ := m1.Client.GroupMetadata()
	a1, a2 := m1.Holds("a"), m2.Holds("a")
	m2.renew(t.Context())
	require.True(t, m2.Lease("a", a2))
	var syncs atomic.Int64
	synced := make(chan struct{})
	c.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		syncs.Add(1)
		c.SleepControl(func() { <-synced }) // the leader takes a while, and heartbeats are accepted meanwhile
		return nil, nil, false
	})
	letIn()
	both := false
	accepted := func() bool { m1.mu.Lock(); defer m1.mu.Unlock(); return m1.beat != old }
	require.Eventually(t, func() bool {
		m1.renew(t.Context())
		m2.renew(t.Context())
		both = both || m1.Lease("a", a1) && m2.Lease("a", a2)
		return both || syncs.Load() > 0 && accepted()
	}, patient, often)
	close(synced)
	require.False(t, both, "both may start workflows of the topic")
}

func TestARefusedMemberSaysWhy(t *testing.T) {
	c := fake(t, kfake.SeedTopics(1, "a"))
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: kerr.GroupAuthorizationFailed, Count: -1})
	m := join(t, c, "a")
	require.Eventually(t, func() bool { return IsAuth(m.Err()) }, patient, often)
	require.Zero(t, m.Holds("a"))
	h.Remove()
	holding(t, m, "a")
	m.renew(t.Context())
	require.NoError(t, m.Err())
}

func TestATopicThatIsCreatedLaterIsPlanned(t *testing.T) {
	c := kafkatest.New(t, 1, nil)
	m := join(t, c, "a")
	require.ErrorIs(t, Exists(t.Context(), m.Client, "a"), ErrNoTopic)
	_, _, err := Logs(t.Context(), m.Client, "a")
	require.ErrorIs(t, err, ErrNoTopic)
	_, err = kadm.NewClient(m.Client).CreateTopic(t.Context(), 2, 1, nil, "a")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return Exists(t.Context(), m.Client, "a") == nil }, patient, often)
	holding(t, m, "a")
}
