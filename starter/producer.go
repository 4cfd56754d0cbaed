package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/kafka"
)

const (
	// usualLimit is the size of a record where the topic's own limit may not be
	// asked for: below Kafka's default of 1,048,588.
	usualLimit = 1_000_012
	// highestLimit is the largest record that is sent, whatever the topic
	// allows: what a worker holds of one block.
	highestLimit = 64 << 20
	// bufferBytes bounds what was handed over and is not acknowledged yet; send
	// blocks beyond it. The largest record must fit.
	bufferBytes = highestLimit + 32<<20
	// watchEvery is how often it is checked whether Kafka still answers.
	watchEvery = 200 * time.Millisecond
)

// errTooLarge says that a record is over the topic's limit. Only that record is
// refused.
var errTooLarge = errors.New("too large")

// errInterrupted says that the user wanted to stop.
var errInterrupted = errors.New("interrupted")

// producer sends records to one topic: idempotent, acknowledged by all replicas
// in sync, compressed, in the order of each key, with bounded memory.
type producer struct {
	conf     kafka.Config
	topic    string
	patience time.Duration // how long Kafka may leave everything unanswered

	client *kgo.Client
	limit  atomic.Int32
	dial   atomic.Pointer[error] // the last connection's failure

	acked    atomic.Int64
	failed   atomic.Int64 // neither acknowledged nor refused one by one
	pending  atomic.Int64
	progress atomic.Int64 // Unix nanoseconds of the last sign of life, while something is pending
}

func newProducer(conf kafka.Config, topic string, patience time.Duration) *producer {
	p := &producer{conf: conf, topic: topic, patience: patience}
	p.limit.Store(usualLimit)
	return p
}

// OnBrokerConnect remembers why Kafka cannot be reached (kgo.HookBrokerConnect).
func (p *producer) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		p.dial.Store(&err)
	}
}

// open connects, checks that the topic is there, and asks for its limit: a
// batch that the broker finds too large would be refused with all its records.
func (p *producer) open(ctx context.Context) error {
	opts, err := p.conf.Options()
	if err != nil {
		return err
	}
	p.client, err = kgo.NewClient(append(opts,
		kgo.WithHooks(p),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytesFn(func(string) int32 { return p.limit.Load() }),
		kgo.MaxBufferedBytes(bufferBytes),
		kgo.BrokerMaxWriteBytes(2*highestLimit),
	)...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	admin := kadm.NewClient(p.client)
	asked := make(chan error, 1) // a server that accepts connections and says nothing holds the client longer than ctx
	go func() { asked <- p.ask(ctx, admin) }()
	select {
	case err := <-asked:
		return err
	case <-ctx.Done():
		return p.away(ctx.Err())
	}
}

// ask whether the topic is there, and for its limit.
func (p *producer) ask(ctx context.Context, admin *kadm.Client) error {
	topics, err := admin.ListTopics(ctx, p.topic)
	if kafka.IsAuth(err) {
		return p.refusal(err)
	}
	if err != nil {
		return p.away(err)
	}
	if err := topics[p.topic].Err; err != nil {
		return p.refusal(err)
	}
	p.askLimit(ctx, admin)
	return nil
}

// askLimit stays at the usual limit where the question is not allowed.
func (p *producer) askLimit(ctx context.Context, admin *kadm.Client) {
	configs, err := admin.DescribeTopicConfigs(ctx, p.topic)
	if err != nil {
		return
	}
	topic, err := configs.On(p.topic, nil)
	if err != nil || topic.Err != nil {
		return
	}
	for _, c := range topic.Configs {
		if n, err := strconv.ParseInt(c.MaybeValue(), 10, 32); c.Key == "max.message.bytes" && err == nil {
			p.limit.Store(int32(max(512, min(n, highestLimit))))
		}
	}
}

// watch returns when everything that is pending was left unanswered for the
// patience, or when ctx ends.
func (p *producer) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if p.pending.Load() > 0 && now.UnixNano()-p.progress.Load() > int64(p.patience) {
				return p.away(errors.New("no acknowledgement"))
			}
		}
	}
}

// send hands a record over and blocks while the buffer is full; ctx ends only
// that: what was handed over stays so until close. Done is called once, from another goroutine: with nil when Kafka acknowledged the record,
// with errTooLarge when it refuses this record, with any other error when
// going on makes no sense.
func (p *producer) send(ctx context.Context, key string, value []byte, done func(error)) {
	if p.pending.Add(1) == 1 {
		p.progress.Store(time.Now().UnixNano())
	}
	r := &kgo.Record{Topic: p.topic, Key: []byte(key), Value: value, Context: context.WithoutCancel(ctx)}
	p.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		switch {
		case err == nil:
			p.acked.Add(1)
		case errors.Is(err, kerr.MessageTooLarge):
			err = p.tooLarge()
		default:
			p.failed.Add(1)
			err = p.refusal(err)
		}
		p.progress.Store(time.Now().UnixNano())
		p.pending.Add(-1)
		done(err)
	})
}

// flush waits until everything is acknowledged or refused.
func (p *producer) flush(ctx context.Context) error { return p.client.Flush(ctx) }

// close drops what is still pending.
func (p *producer) close() {
	if p.client != nil {
		p.client.Close()
	}
}

// unknown is how many records were handed over without an answer that tells
// whether Kafka has them.
func (p *producer) unknown() int64 { return p.pending.Load() + p.failed.Load() }

func (p *producer) servers() string { return strings.Join(p.conf.Servers, ",") }

func (p *producer) tooLarge() error {
	return fmt.Errorf("%w: topic %s takes %d bytes a record", errTooLarge, p.topic, p.limit.Load())
}

// refusal explains the answers that an operator can do something about.
func (p *producer) refusal(err error) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
		return fmt.Errorf("topic %s does not exist at KAFKA_SERVERS=%s; create it with: kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 12",
			p.topic, p.servers(), p.servers(), p.topic)
	}
	return fmt.Errorf("send to topic %s at KAFKA_SERVERS=%s: %w", p.topic, p.servers(), kafka.Hint(err))
}

// away says that Kafka does not answer, and the best reason that is known.
func (p *producer) away(err error) error {
	if errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	if dial := p.dial.Load(); dial != nil {
		err = *dial
	}
	return fmt.Errorf("no answer from Kafka at KAFKA_SERVERS=%s within %s: %w", p.servers(), p.patience, err)
}
