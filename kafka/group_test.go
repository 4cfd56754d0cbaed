package kafka

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	session = 6 * time.Second
	patient = 20 * time.Second
	often   = 10 * time.Millisecond
)

func join(t *testing.T, c *kfake.Cluster, topics ...string) *Member {
	t.Helper()
	return joinWith(t, c, topics)
}

func joinWith(t *testing.T, c *kfake.Cluster, topics []string, opts ...kgo.Opt) *Member {
	t.Helper()
	m, err := Join(Config{Servers: c.ListenAddrs(), GroupID: "g", SecurityProtocol: "PLAINTEXT"}, session, topics, opts...)
	require.NoError(t, err)
	t.Cleanup(m.Client.Close)
	return m
}

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(2))...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// holding waits until the member plans the topic.
func holding(t *testing.T, m *Member, topic string) int64 {
	t.Helper()
	require.Eventually(t, func() bool { return m.Holds(topic) != 0 }, patient, often)
	return m.Holds(topic)
}

func TestATopicIsPlannedByOneMemberAndHandedOn(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(3, "a", "b"))
	m1 := join(t, c, "a", "b")
	was := holding(t, m1, "a")
	require.NotEqual(t, was, holding(t, m1, "b"), "each assignment has a number of its own")
	m2 := join(t, c, "a", "b")
	require.Eventually(t, func() bool {
		g := c.GroupInfo("g")
		return g != nil && len(g.Members) == 2 && g.State == "Stable"
	}, patient, often)
	for _, topic := range []string{"a", "b"} {
		require.Eventually(t, func() bool { return (m1.Holds(topic) != 0) != (m2.Holds(topic) != 0) }, patient, often)
	}
	m1.Client.Close() // leaves: no session timeout to wait for
	holding(t, m2, "a")
	holding(t, m2, "b")
	require.Zero(t, m1.Holds("a"))
}

func TestNothingIsFetchedOrCommittedByAMember(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "a"))
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
	c := cluster(t, kfake.SeedTopics(1, "a"))
	m := joinWith(t, c, []string{"a"}, kgo.HeartbeatInterval(session-time.Second)) // the client's own would meet the faults too
	var shift atomic.Int64
	m.now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
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
	c := cluster(t, kfake.SeedTopics(1, "a"))
	m := join(t, c, "a")
	a := holding(t, m, "a")
	var calls atomic.Int64
	began := time.Now()
	m.now = func() time.Time { // sent at the first call; asked long after
		if calls.Add(1) == 1 {
			return began
		}
		return began.Add(session)
	}
	m.renew(t.Context())
	require.Equal(t, began, m.good)
	require.False(t, m.Lease("a", a))
}

func TestARefusedMemberSaysWhy(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "a"))
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
	c := cluster(t)
	m := join(t, c, "a")
	require.ErrorIs(t, Exists(t.Context(), m.Client, "a"), ErrNoTopic)
	_, _, err := Logs(t.Context(), m.Client, "a")
	require.ErrorIs(t, err, ErrNoTopic)
	require.NoError(t, c.CreateTopic("a", 2, nil))
	require.NoError(t, Exists(t.Context(), m.Client, "a"))
	holding(t, m, "a")
}
