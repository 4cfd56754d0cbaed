package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/batch"
)

// Committed is a partition's committed offset and its metadata.
type Committed struct {
	Offset   int64
	Metadata string
}

// Fetch is all committed offsets of the group for the topic, from the
// coordinator. A partition without one is left out.
func (m *Member) Fetch(ctx context.Context, topic string) (map[int32]Committed, error) {
	os, err := m.adm.FetchOffsets(ctx, m.group)
	if err != nil {
		return nil, fmt.Errorf("fetch the offsets of group %s: %w", m.group, err)
	}
	out := map[int32]Committed{}
	for p, o := range os[topic] {
		if o.Err != nil {
			return nil, fmt.Errorf("fetch the offset of %s/%d: %w", topic, p, o.Err)
		}
		if o.At >= 0 {
			out[p] = Committed{o.At, o.Metadata}
		}
	}
	return out, nil
}

// Commit writes all partitions in one bare request, owned here or not: the
// broker checks the generation, not who owns a partition. The answer is read
// per partition, since a commit is not atomic over them. franz-go's own commits
// wait through a rebalance and are stamped with the new generation.
//
// Nothing is written once the assignment is over: offsets can be reset while the
// group is empty, and a round that hung meanwhile would overwrite that. So it is
// stamped first and looked at then: a member ID that was dropped later is refused.
func (m *Member) Commit(ctx context.Context, topic string, assignment int64, id batch.TopicID, c map[int32]Committed) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = m.group
	req.MemberID, req.Generation = m.Client.GroupMetadata()
	if !m.holds(req.MemberID, topic, assignment) {
		return fmt.Errorf("commit offsets of %s: its assignment %d is over", topic, assignment)
	}
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, id // from version 10 on by ID: a commit for a deleted topic is refused
	for p, o := range c {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = p, o.Offset, &o.Metadata
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, m.Client)
	if err != nil {
		return fmt.Errorf("commit offsets of %s: %w", topic, err)
	}
	var errs error
	answered := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			answered++
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				errs = errors.Join(errs, fmt.Errorf("commit offset of %s/%d: %w", topic, p.Partition, err))
			}
		}
	}
	if errs == nil && answered != len(c) {
		errs = fmt.Errorf("commit offsets of %s: %d of %d partitions were answered", topic, answered, len(c))
	}
	return errs
}
