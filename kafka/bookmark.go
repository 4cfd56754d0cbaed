package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
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
	return Fetch(ctx, m.Client, m.group, topic)
}

// Fetch is a Member's Fetch for whoever is no member.
func Fetch(ctx context.Context, cl *kgo.Client, group, topic string) (map[int32]Committed, error) {
	os, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return nil, Denied(fmt.Errorf("fetch the offsets of group %s: %w", group, err), "Describe on KAFKA_GROUP_ID %s", group)
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

// Low is the low watermark that the commit tells: everything of the topic with
// that ID below it is stored or dead-lettered. It is not ok for a commit that is
// not the consumer's own, or of a topic that has another ID by now.
func (c Committed) Low(id batch.TopicID) (int64, bool) {
	m, ok := batch.ReadBookmark(c.Metadata)
	return c.Offset, ok && m.TopicID == id.String() && m.Low == c.Offset
}

// commitBytes bounds one OffsetCommit. Brokers append it to their offsets topic as
// one batch, which has to stay below its max.message.bytes of about 1 MiB: with
// metadata of 450 bytes 2,000 partitions are too many.
const commitBytes = 256 << 10

// Commit writes all partitions in bare requests, owned here or not: the broker
// checks the generation, not who owns a partition. The answers are read per
// partition, since a commit is not atomic over them. franz-go's own commits wait
// through a rebalance and are stamped with the new generation.
//
// Nothing is written once the assignment is over: offsets can be reset while the
// group is empty, and a round that hung meanwhile would overwrite that. So it is
// stamped first and looked at then: a member ID that was dropped later is refused.
func (m *Member) Commit(ctx context.Context, topic string, assignment int64, id batch.TopicID, c map[int32]Committed) error {
	member, generation := m.Client.GroupMetadata()
	if !m.holds(member, topic, assignment) {
		return fmt.Errorf("commit offsets of %s: its assignment %d is over", topic, assignment)
	}
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, id // from version 10 on by ID: a commit for a deleted topic is refused
	var errs error
	size := 0
	for i, p := range slices.Sorted(maps.Keys(c)) {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = p, c[p].Offset, kmsg.StringPtr(c[p].Metadata)
		t.Partitions = append(t.Partitions, rp)
		if size += len(c[p].Metadata) + len(topic) + 100; size < commitBytes && i < len(c)-1 { // a record's key and the rest of it
			continue
		}
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation = m.group, member, generation
		req.Topics = append(req.Topics, t)
		errs = errors.Join(errs, m.commit(ctx, req))
		t.Partitions, size = nil, 0
	}
	return errs
}

func (m *Member) commit(ctx context.Context, req *kmsg.OffsetCommitRequest) error {
	topic := req.Topics[0].Topic
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
	if asked := len(req.Topics[0].Partitions); errs == nil && answered != asked {
		errs = fmt.Errorf("commit offsets of %s: %d of %d partitions were answered", topic, answered, asked)
	}
	return errs
}
