package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Member is a member of the consumer group that never fetches: it plans the
// topics whose partition 0 the balancer gives it. It uses the classic protocol:
// the lease rests on Heartbeat, which a KIP-848 group refuses, so that there
// nothing would ever be started.
type Member struct {
	Client *kgo.Client

	group   string
	session time.Duration
	now     func() time.Time

	mu    sync.Mutex
	held  map[string]int64 // by topic: which assignment of partition 0
	id    string           // the member ID that holds them
	count int64
	joins int64     // assignments that the group gave
	last  time.Time // when it gave the last one
	good  time.Time // when the last accepted heartbeat of ours was sent
	beat  string    // and under which member ID
	err   error     // what keeps the group from forming; nil again when it has
}

// Join makes the member; it joins in the background. Close its Client.
func Join(cfg Config, session time.Duration, topics []string, opts ...kgo.Opt) (*Member, error) {
	base, err := cfg.Options()
	if err != nil {
		return nil, err
	}
	m := &Member{group: cfg.GroupID, session: session, now: time.Now, held: map[string]int64{}}
	m.Client, err = kgo.NewClient(slices.Concat(base, []kgo.Opt{
		kgo.ConsumerGroup(cfg.GroupID), kgo.ConsumeTopics(topics...), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(session), kgo.RebalanceTimeout(session), kgo.HeartbeatInterval(session / 10),
		kgo.MaxConcurrentFetches(0), // a fetch needs a poll, and nobody polls
		kgo.WithHooks(m),
		kgo.OnPartitionsAssigned(m.assigned), kgo.OnPartitionsRevoked(m.taken), kgo.OnPartitionsLost(m.taken),
	}, opts)...)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// assigned is called after every join, with what is new. A member that was
// dropped joins again under another ID, and the client neither says so nor takes
// anything away: all that it held may have been another's meanwhile.
func (m *Member) assigned(_ context.Context, cl *kgo.Client, ts map[string][]int32) {
	id, _ := cl.GroupMetadata() // m.Client may not be set yet
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joins++
	m.last = m.now()
	if id != m.id {
		m.id = id
		for t := range m.held {
			m.count++
			m.held[t] = m.count
		}
	}
	for t, parts := range ts {
		if slices.Contains(parts, 0) {
			m.count++
			m.held[t] = m.count
		}
	}
}

func (m *Member) taken(_ context.Context, _ *kgo.Client, ts map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t, parts := range ts {
		if slices.Contains(parts, 0) {
			delete(m.held, t)
		}
	}
}

// OnGroupManageError remembers what ended the group session
// (kgo.HookGroupManageError): nobody polls, so nobody else would see it.
func (m *Member) OnGroupManageError(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// Err is what keeps this member out of the group, nil if nothing does. The client
// tries again by itself; only IsAuth is final.
func (m *Member) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return fmt.Errorf("join group %s: %w", m.group, m.err)
	}
	return nil
}

// Holds says under which assignment the topic is planned here; 0: not here.
// Each new assignment has another number and begins with a takeover; so does one
// that a dropped member gets back.
func (m *Member) Holds(topic string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[topic]
}

// Rebalances is how many assignments the group has given to this member, and when it gave the last one.
func (m *Member) Rebalances() (n int64, last time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.joins, m.last
}

// holds tells whether the topic is held under this assignment, by this member ID.
func (m *Member) holds(id, topic string, assignment int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id == id && m.held[topic] == assignment && assignment != 0
}

// Lease tells whether a workflow may be started under this assignment: the
// coordinator accepted, within the last session timeout, a heartbeat of ours that
// carried generation and the ID of the member that was assigned the topic. Before
// that time is over it gives the topic to nobody else. A second is kept back for
// the request that the lease is for.
//
// It is a heartbeat and not a commit for two reasons. A virgin topic has nothing
// that could be committed without looking like an operator's reset; and while a
// rebalance is prepared the coordinator still accepts commits of the old
// generation, from a member that it is about to drop, but refuses heartbeats.
func (m *Member) Lease(topic string, assignment int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[topic] == assignment && assignment != 0 && m.beat == m.id && m.since(m.good) < m.session-time.Second
}

// since is by the clock that ran further: the monotonic one stands still while
// the machine is suspended, the wall clock may be set back.
func (m *Member) since(t time.Time) time.Duration {
	now := m.now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// Renew keeps the lease until ctx ends. It sends heartbeats of its own and reads
// their answers: that the client's own were sent proves nothing. What counts is
// when an accepted one was sent, not when its answer came.
func (m *Member) Renew(ctx context.Context) {
	t := time.NewTicker(m.session / 6)
	defer t.Stop()
	for {
		m.renew(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (m *Member) renew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, m.session/3)
	defer cancel()
	sent := m.now()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group = m.group
	if req.MemberID, req.Generation = m.Client.GroupMetadata(); req.MemberID == "" {
		return
	}
	resp, err := req.RequestWith(ctx, m.Client)
	if err != nil || kerr.ErrorForCode(resp.ErrorCode) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.good, m.beat, m.err = sent, req.MemberID, nil
}
