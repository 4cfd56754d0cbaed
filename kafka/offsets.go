package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/batch"
)

var (
	// ErrNoTopic says that the topic does not exist.
	ErrNoTopic = errors.New("topic does not exist")
	// ErrNoTopicID says that the brokers give topics no ID. Without one, a topic
	// that was deleted and created again is taken for the old one.
	ErrNoTopicID = errors.New("topic has no ID: that needs brokers of Kafka 2.8 or newer, with inter.broker.protocol.version raised to it")
)

// ListOffsets' timestamps for the first offset that is left, and for the end.
const (
	startOffset = -2
	endOffset   = -1
)

// Log is one partition: the first offset there is, the last stable offset (one
// past the last committed record), and the leader epoch of the end, -1 if unknown.
// End is never below First, though Kafka's last stable offset is as long as a
// transaction is open whose first records were deleted: all before First is gone,
// and nothing from there on can be read yet.
type Log struct {
	First, End int64
	Epoch      int32
}

// Logs is every partition of the topic, under a topic ID that was the same
// before and after the question: ListOffsets knows topics by name only. It costs
// two small requests to one broker and two to each leader, and asks no cache.
func Logs(ctx context.Context, cl *kgo.Client, topic string) (batch.TopicID, map[int32]Log, error) {
	before, err := describe(ctx, cl, topic)
	if err != nil {
		return batch.TopicID{}, nil, err
	}
	id := batch.TopicID(before.TopicID)
	var starts, ends map[int32]kmsg.ListOffsetsResponseTopicPartition
	var startErr, endErr error
	var wg sync.WaitGroup
	wg.Go(func() { starts, startErr = list(ctx, cl, before, startOffset) })
	wg.Go(func() { ends, endErr = list(ctx, cl, before, endOffset) })
	wg.Wait()
	if err := errors.Join(startErr, endErr); err != nil {
		return id, nil, err
	}
	logs := make(map[int32]Log, len(ends))
	for p, end := range ends {
		first := starts[p].Offset
		logs[p] = Log{First: first, End: max(first, end.Offset), Epoch: end.LeaderEpoch}
	}
	after, err := describe(ctx, cl, topic)
	if err != nil {
		return id, nil, err
	}
	if after.TopicID != before.TopicID || len(after.Partitions) != len(before.Partitions) {
		return id, nil, fmt.Errorf("%s changed while its offsets were listed", topic)
	}
	return id, logs, nil
}

// OffsetsAt is every partition's first offset whose record has the timestamp or a later one. A partition without such a record is
// left out. Timestamps are Kafka's own, of the record or of its arrival, and need not be in order.
func OffsetsAt(ctx context.Context, cl *kgo.Client, topic string, at time.Time) (map[int32]int64, error) {
	of, err := describe(ctx, cl, topic)
	if err != nil {
		return nil, err
	}
	listed, err := list(ctx, cl, of, at.UnixMilli())
	if err != nil {
		return nil, err
	}
	out := map[int32]int64{}
	for p, l := range listed {
		if l.Offset >= 0 {
			out[p] = l.Offset
		}
	}
	return out, nil
}

// list is the offset at a timestamp of every partition, or an error.
func list(ctx context.Context, cl *kgo.Client, of kmsg.MetadataResponseTopic, at int64) (map[int32]kmsg.ListOffsetsResponseTopicPartition, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, 1 // read committed: the end is the last stable offset
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = *of.Topic
	for _, p := range of.Partitions {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = p.Partition, at, -1
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl) // the client splits it by leader
	if err != nil {
		return nil, fmt.Errorf("list offsets of %s: %w", t.Topic, err)
	}
	out := make(map[int32]kmsg.ListOffsetsResponseTopicPartition, len(of.Partitions))
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("list offset of %s/%d: %w", t.Topic, p.Partition, err)
			}
			out[p.Partition] = p
		}
	}
	if len(out) != len(of.Partitions) {
		return nil, fmt.Errorf("list offsets of %s: %d of %d partitions were answered", t.Topic, len(out), len(of.Partitions))
	}
	return out, nil
}

// describe asks a broker, not a cache, which may know a deleted topic. What it
// returns has an ID.
func describe(ctx context.Context, cl *kgo.Client, topic string) (t kmsg.MetadataResponseTopic, err error) {
	req := kmsg.NewPtrMetadataRequest() // creates no topic
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return t, fmt.Errorf("look up %s: %w", topic, err)
	}
	if len(resp.Topics) != 1 || resp.Topics[0].Topic == nil {
		return t, fmt.Errorf("look up %s: the broker answered for %d topics", topic, len(resp.Topics))
	}
	err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return t, fmt.Errorf("%s: %w", topic, ErrNoTopic)
	}
	if err == nil && batch.TopicID(resp.Topics[0].TopicID) == (batch.TopicID{}) {
		err = ErrNoTopicID
	}
	if err != nil {
		return t, fmt.Errorf("look up %s: %w", topic, err)
	}
	return resp.Topics[0], nil
}

// Exists is nil if the topic exists, else ErrNoTopic, ErrNoTopicID, or what kept
// Kafka from answering.
func Exists(ctx context.Context, cl *kgo.Client, topic string) error {
	_, err := describe(ctx, cl, topic)
	return err
}

// EpochEnds is where each position's leader epoch ends in the log as it is now.
// Left out is only a partition whose leader answers that it does not know, or
// whose epoch is not known: no answer is an error, since a truncation might hide
// behind it.
func EpochEnds(ctx context.Context, cl *kgo.Client, topic string, at []batch.Position) (map[int32]int64, error) {
	var req kadm.OffsetForLeaderEpochRequest
	for _, p := range at {
		if p.Epoch >= 0 {
			req.Add(topic, p.Partition, p.Epoch)
		}
	}
	out := map[int32]int64{}
	if len(req) == 0 {
		return out, nil
	}
	resp, err := kadm.NewClient(cl).OffsetForLeaderEpoch(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("ask %s where its leader epochs end: %w", topic, err)
	}
	if len(resp[topic]) != len(req[topic]) {
		return nil, fmt.Errorf("ask %s where its leader epochs end: %d of %d partitions were answered", topic, len(resp[topic]), len(req[topic]))
	}
	for p, o := range resp[topic] {
		if o.Err != nil {
			return nil, fmt.Errorf("ask %s/%d where its leader epoch ends: %w", topic, p, o.Err)
		}
		if o.EndOffset >= 0 {
			out[p] = o.EndOffset
		}
	}
	return out, nil
}

// listOffset asks one broker for one partition's offset at a timestamp.
func listOffset(ctx context.Context, cl *kgo.Client, broker int32, topic string, partition int32, at int64) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch = partition, at, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	kresp, err := cl.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return 0, fmt.Errorf("list offsets of %s/%d: %w", topic, partition, err)
	}
	resp := kresp.(*kmsg.ListOffsetsResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("list offsets of %s/%d: the broker answered for other partitions", topic, partition)
	}
	r := resp.Topics[0].Partitions[0]
	return r.Offset, kerr.ErrorForCode(r.ErrorCode)
}
