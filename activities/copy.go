package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/kafka"
)

// DeadLetterTopic is where copies of a topic's dead letters go.
func DeadLetterTopic(topic string) string { return topic + ".dlq" }

// Headers of a copy, as Kafka Connect names them, so that tools that know its
// dead letters know ours.
const (
	headerPrefix    = "__connect.errors."
	headerTopic     = "__connect.errors.topic"
	headerPartition = "__connect.errors.partition"
	headerOffset    = "__connect.errors.offset"
	headerConnector = "__connect.errors.connector.name"
	headerStage     = "__connect.errors.stage"
	headerClass     = "__connect.errors.exception.class.name"
	headerMessage   = "__connect.errors.exception.message"
	headerCut       = "__connect.errors.value.cut"        // ours: the value was over the broker's limit
	headerTime      = "__connect.errors.record.timestamp" // ours: milliseconds since 1970
)

// cutTo is what remains of a value that the broker refuses as too large. It is cut further while even that is refused.
const cutTo = 256 << 10

func copyOf(j Job, rec *kgo.Record, why cause) *kgo.Record {
	h := func(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }
	// The copy's own time is now: brokers refuse a time that is far ahead, and delete by it what is long ago.
	return &kgo.Record{
		Topic: DeadLetterTopic(j.Topic), Key: slices.Clone(rec.Key), Value: slices.Clone(rec.Value),
		Headers: append(slices.Clone(rec.Headers), h(headerTopic, j.Topic), h(headerPartition, strconv.Itoa(int(rec.Partition))),
			h(headerOffset, strconv.FormatInt(rec.Offset, 10)), h(headerConnector, j.Workflow), h(headerStage, why.stage()),
			h(headerClass, why.reason), h(headerMessage, why.message), h(headerTime, strconv.FormatInt(rec.Timestamp.UnixMilli(), 10))),
	}
}

// stage is where in Kafka Connect's terms a record failed.
func (c cause) stage() string {
	if c.class == "undecodable" {
		return "VALUE_CONVERTER"
	}
	return "TASK_PUT"
}

// ProducerOptions are those of the client that produces copies: a topic that was made or has moved a moment ago is met after half a
// second, not five, in which every batch that has dead letters holds a place in the worker. It does not number its batches: once made
// to forget a topic it would begin again at zero, and a broker that has a batch of that number and size acknowledges the new one as a
// repeat, and writes nothing. A copy may be there twice, as ever.
func ProducerOptions() []kgo.Opt {
	return []kgo.Opt{kgo.ProducerLinger(0), kgo.MetadataMinAge(500 * time.Millisecond), kgo.DisableIdempotentWrite()}
}

// copyOut produces the copies and waits for all of them. The topic is created
// when it is missing.
func (a *Activities) copyOut(ctx context.Context, topic string, copies []*kgo.Record) error {
	name := DeadLetterTopic(topic)
	if _, met := a.met.Load(name); !met && a.missing(ctx, name) {
		if err := a.createTopic(ctx, name); err != nil {
			return err
		}
	}
	err := a.produce(ctx, copies)
	if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) { // deleted since a copy went there, and perhaps made again
		a.met.Delete(name)
		a.Producer.PurgeTopicsFromProducing(name) // it takes no new topic for the one that it met
		if err := a.createTopic(ctx, name); err != nil {
			return err
		}
		err = a.produce(ctx, copies)
	}
	if err == nil {
		a.met.Store(name, true)
	}
	return kafka.Denied(err, "Write on topic %s", name)
}

// missing asks, because producing to find out is slow: the client gives up on an unknown topic when five answers have said so, and
// a topic that others wait for, too, gets them five seconds apart, in which each of its batches holds a place in the worker. An
// error is not told: producing meets it as well, and names the right that it takes.
func (a *Activities) missing(ctx context.Context, topic string) bool {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	topics, err := kadm.NewClient(a.Producer).ListTopics(ctx, topic)
	return err == nil && errors.Is(topics[topic].Err, kerr.UnknownTopicOrPartition)
}

// What takes longer gives its place in the worker to other batches.
const (
	copyWithin = 30 * time.Second // one try to produce copies
	askWithin  = 5 * time.Second  // one question whether their topic is there
)

func (a *Activities) produce(ctx context.Context, copies []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, copyWithin)
	defer cancel()
	for _, c := range copies {
		c.Context = nil //nolint:fatcontext // that of an earlier try is over
	}
	var first error // one stands for all: of many records it is the same
	failed := 0
	for _, r := range a.Producer.ProduceSync(ctx, copies...) {
		if err := a.cut(ctx, r); err != nil {
			first = cmp.Or(first, err)
			failed++
		}
	}
	if failed > 1 {
		return fmt.Errorf("%d records: %w", failed, first)
	}
	return first
}

// cut produces a copy that was too large again, with less and less of its value, at last without it and without the headers that
// the record came with: the table has all of it, and a copy that nobody takes must not hold up its batch.
func (a *Activities) cut(ctx context.Context, r kgo.ProduceResult) error {
	if errors.Is(r.Err, kerr.InvalidRecord) && len(r.Record.Key) == 0 { // a compacted topic takes none without a key
		c := *r.Record
		c.Key = []byte("none")
		r = a.Producer.ProduceSync(ctx, &c)[0]
	}
	whole := len(r.Record.Value)
	for left := cutTo; errors.Is(r.Err, kerr.MessageTooLarge) && left > 0; left /= 8 {
		c := *r.Record
		c.Headers = append(slices.Clone(c.Headers), kgo.RecordHeader{Key: headerCut, Value: []byte(strconv.Itoa(whole))})
		c.Value = c.Value[:min(left, whole)]
		if left == 1 {
			c.Key, c.Value = nil, nil
			c.Headers = slices.DeleteFunc(c.Headers, func(h kgo.RecordHeader) bool { return !strings.HasPrefix(h.Key, headerPrefix) })
		}
		r.Err = a.Producer.ProduceSync(ctx, &c).FirstErr()
	}
	return r.Err
}

// LetterTopics is how topics of copies are made when they are missing.
type LetterTopics struct {
	Partitions int32         // 0: one
	Retention  time.Duration // 0: the broker's default
}

// createTopic makes the topic with the broker's default replication.
func (a *Activities) createTopic(ctx context.Context, topic string) error {
	configs := map[string]*string{}
	if a.LetterTopics.Retention > 0 {
		configs["retention.ms"] = kadm.StringPtr(strconv.FormatInt(a.LetterTopics.Retention.Milliseconds(), 10))
	}
	r, err := kadm.NewClient(a.Producer).CreateTopic(ctx, max(1, a.LetterTopics.Partitions), -1, configs, topic)
	if err == nil {
		err = r.Err
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return kafka.Denied(err, "Create on topic %s", topic)
}
