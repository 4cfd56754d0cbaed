//go:build unix

package main

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// evictor removes members of consumer groups that went silent for their session timeout, as a broker does. kfake does so itself,
// but for a member whose connection was gone when its join or sync was to be answered: that one stays for ever, and nobody gets
// the partitions it was dealt.
type evictor struct {
	mu      sync.Mutex
	members map[member]*pulse
}

type member struct{ group, id string }

type pulse struct {
	session time.Duration
	last    time.Time // request
	silent  time.Time // since when the group was seen stable and the member silent; zero: it is not
}

// watch observes the requests by which members show that they are alive.
func watch(c *kfake.Cluster) *evictor {
	e := &evictor{members: map[member]*pulse{}}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetCommit} {
		c.ControlKey(key.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
			e.heard(r)
			return nil, nil, false
		})
	}
	return e
}

func (e *evictor) heard(r kmsg.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var m member
	switch r := r.(type) {
	case *kmsg.JoinGroupRequest:
		if m = (member{r.Group, r.MemberID}); m.id != "" && e.members[m] == nil {
			e.members[m] = &pulse{session: time.Duration(r.SessionTimeoutMillis) * time.Millisecond}
		}
	case *kmsg.SyncGroupRequest:
		m = member{r.Group, r.MemberID}
	case *kmsg.HeartbeatRequest:
		m = member{r.Group, r.MemberID}
	case *kmsg.OffsetCommitRequest:
		m = member{r.Group, r.MemberID}
	}
	if p := e.members[m]; p != nil {
		p.last, p.silent = time.Now(), time.Time{}
	}
}

// run sweeps until ctx ends.
func (e *evictor) run(ctx context.Context, cl *kgo.Client) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			e.sweep(ctx, cl)
		}
	}
}

// sweep asks about the groups of silent members. One that waits for a join is silent too, but then its group is not stable: only
// who stays silent for a session timeout in a stable group is dead.
func (e *evictor) sweep(ctx context.Context, cl *kgo.Client) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, m := range e.suspects() {
		g, err := describe(ctx, cl, m.group)
		if err != nil {
			return
		}
		there := false
		for _, x := range g.Members {
			there = there || x.MemberID == m.id
		}
		switch {
		case !there:
			e.forget(m)
		case e.dead(m, g.State == "Stable"):
			leave := kmsg.NewPtrLeaveGroupRequest()
			leave.Group = m.group
			leaving := kmsg.NewLeaveGroupRequestMember()
			leaving.MemberID = m.id
			leave.Members = append(leave.Members, leaving)
			if _, err := leave.RequestWith(ctx, cl); err == nil {
				e.forget(m)
			}
		}
	}
}

func (e *evictor) suspects() (ms []member) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for m, p := range e.members {
		if time.Since(p.last) > p.session {
			ms = append(ms, m)
		}
	}
	return ms
}

func (e *evictor) dead(m member, stable bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.members[m]
	switch {
	case p == nil || time.Since(p.last) <= p.session:
		return false
	case !stable:
		p.silent = time.Time{}
	case p.silent.IsZero():
		p.silent = time.Now()
	}
	return !p.silent.IsZero() && time.Since(p.silent) > p.session
}

func (e *evictor) forget(m member) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.members, m)
}

func describe(ctx context.Context, cl *kgo.Client, group string) (g kmsg.DescribeGroupsResponseGroup, err error) {
	r := kmsg.NewPtrDescribeGroupsRequest()
	r.Groups = []string{group}
	answer, err := r.RequestWith(ctx, cl)
	if err != nil || len(answer.Groups) == 0 {
		return g, err
	}
	return answer.Groups[0], nil
}
