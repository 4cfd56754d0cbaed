//go:build unix

package stack_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// session is the shortest session timeout that brokers accept.
const session = 6 * time.Second

// groupMember speaks the group protocol by hand.
type groupMember struct {
	cl *kgo.Client
	id string
}

// join waits until the group has formed.
func (m *groupMember) join(ctx context.Context) (*kmsg.JoinGroupResponse, error) {
	for {
		r := kmsg.NewPtrJoinGroupRequest()
		r.Group, r.MemberID, r.ProtocolType = "g", m.id, "consumer"
		r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = int32(session.Milliseconds()), 60_000
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name = "range"
		r.Protocols = append(r.Protocols, p)
		answer, err := r.RequestWith(ctx, m.cl)
		if err != nil {
			return nil, err
		}
		m.id = answer.MemberID
		if answer.ErrorCode != kerr.MemberIDRequired.Code {
			return answer, kerr.ErrorForCode(answer.ErrorCode)
		}
	}
}

func (m *groupMember) sync(ctx context.Context, generation int32) error {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.Generation = "g", m.id, generation
	r.ProtocolType, r.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	answer, err := r.RequestWith(ctx, m.cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.ErrorCode)
}

func (m *groupMember) heartbeat(ctx context.Context, generation int32) error {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.MemberID, r.Generation = "g", m.id, generation
	answer, err := r.RequestWith(ctx, m.cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.ErrorCode)
}

func rawClient(t *testing.T, s *stack.Server) *kgo.Client {
	t.Helper()
	return client(t, s, kgo.RetryTimeout(time.Second))
}

func TestKafkaEvictsAMemberThatDiedWhileItJoined(t *testing.T) {
	s := kafka(t)
	ctx := t.Context()
	lives := groupMember{cl: rawClient(t, s)}
	first, err := lives.join(ctx)
	require.NoError(t, err)
	require.NoError(t, lives.sync(ctx, first.Generation))

	dies := groupMember{cl: rawClient(t, s)}
	joining, die := context.WithCancel(ctx)
	left := make(chan error, 1)
	go func() { _, err := dies.join(joining); left <- err }()
	require.Eventually(t, func() bool { // it waits for the others to join again
		return lives.heartbeat(ctx, first.Generation) == kerr.RebalanceInProgress //nolint:errorlint // kerr's errors are values
	}, 10*time.Second, 10*time.Millisecond)
	die()
	require.Error(t, <-left)
	dies.cl.Close() // with its connection

	second, err := lives.join(ctx)
	require.NoError(t, err)
	require.Len(t, second.Members, 2, "the dead one is dealt in, since nobody knows yet")
	require.NoError(t, lives.sync(ctx, second.Generation))
	require.Eventually(t, func() bool {
		return lives.heartbeat(ctx, second.Generation) == kerr.RebalanceInProgress //nolint:errorlint // as above
	}, 4*session, 100*time.Millisecond, "nobody gets the partitions of the dead one")
	third, err := lives.join(ctx)
	require.NoError(t, err)
	require.Len(t, third.Members, 1)
}
