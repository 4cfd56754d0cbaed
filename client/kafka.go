package client

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// usualLimit is the size of a record batch where the topic's own limit may not
	// be asked for: below Kafka's default of 1,048,588.
	usualLimit = 1_000_012
	// highestLimit is what is handed over at most, whatever the topic allows.
	highestLimit = 64 << 20
	// batchOverhead is more than a record batch of one record adds to its bytes.
	batchOverhead = 128
	// windowBytes is what Kafka's client holds of a kind: enough to keep a few
	// brokers busy, and what is in doubt when Kafka goes away.
	windowBytes = 16 << 20
	// pauseAfter keeps records that Kafka refuses from going round and round.
	pauseAfter = time.Second
	// handAtOnce is how many records are handed over under one lock.
	handAtOnce = 512
)

// handed is an item in the hands of Kafka's client, and travels as the context of
// its record.
type handed struct {
	context.Context //nolint:containedctx // kgo carries it to the promise
	item
	l      *lane
	epoch  int
	record kgo.Record
}

// openKafka makes the client that all lanes share; it connects when it is first
// used. Its records are idempotent and acknowledged by all replicas in sync.
func (c *Client) openKafka() error {
	opts, err := c.cfg.Kafka.Options()
	if err != nil {
		return err
	}
	opts = append(opts,
		kgo.WithHooks(&c.watcher),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(codecs[c.cfg.Compression], kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // as Kafka's own
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 { return c.limitOf(topic) }),
		kgo.MaxBufferedRecords(int(c.cfg.BufferBytes/overhead)+1), // the lanes' windows are the bound
		kgo.BrokerMaxWriteBytes(2*highestLimit),
		kgo.DisableClientMetrics(), // Close would wait a second for them
	)
	if c.cfg.falls() {
		opts = append(opts, kgo.RecordDeliveryTimeout(c.cfg.FallbackAfter)) // returns only what certainly was not sent
	}
	c.kafka, err = kgo.NewClient(opts...)
	return err
}

// feed hands records over to Kafka's client, until ctx ends.
func (l *lane) feed(ctx context.Context) {
	items := make([]item, 0, handAtOnce)
	for {
		for {
			items = l.c.buffer.take(l.kind, items[:0], l.window())
			if len(items) == 0 {
				break
			}
			l.hand(ctx, items)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.pump:
		}
	}
}

// window is how many bytes may be handed over now.
func (l *lane) window() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closing || time.Now().Before(l.paused):
		return 0
	case !l.direct:
		return min(windowBytes, l.c.cfg.BufferBytes/4) - l.now.bytes
	case l.probed && l.now.records == 0:
		return 1 // one record
	}
	return 0
}

func (l *lane) hand(ctx context.Context, items []item) {
	slab := make([]handed, len(items))
	l.mu.Lock()
	epoch := l.epoch
	l.probed = false // it is on its way
	for i := range items {
		l.now.records++
		l.now.bytes += items[i].size()
	}
	l.mu.Unlock()
	for i := range items {
		h := &slab[i]
		*h = handed{Context: ctx, item: items[i], l: l, epoch: epoch}
		h.record = kgo.Record{Topic: l.topic, Key: h.key, Value: h.value, Context: h}
		l.c.kafka.Produce(ctx, &h.record, answered)
	}
}

// answered is told what became of a record, once.
func answered(r *kgo.Record, err error) {
	h, ok := r.Context.(*handed)
	if !ok {
		return // only feed produces
	}
	h.l.answer(h, err)
}

// answer settles a record that Kafka has, and takes back one that it certainly
// has not. Of one that is neither nothing will be heard any more: it stays in
// doubt.
func (l *lane) answer(h *handed, err error) {
	var again bool
	doubtful := err != nil && !l.c.watcher.certain(err)
	l.mu.Lock()
	f := &l.now
	if h.epoch != l.epoch {
		f = &l.old
	}
	f.records--
	f.bytes -= h.size()
	switch {
	case err == nil:
		again = l.acknowledged()
	case doubtful:
		l.lost = append(l.lost, h.item)
		l.kafkaErr = err
	case !errors.Is(err, kgo.ErrRecordTimeout) && !errors.Is(err, context.Canceled) && !errors.Is(err, kerr.MessageTooLarge):
		l.kafkaErr, l.paused = err, time.Now().Add(pauseAfter)
	}
	doubt := l.old.records
	l.mu.Unlock()
	if again {
		l.c.cfg.Logger.Info("kafka answers again: records go to kafka", "topic", l.topic, "in_doubt", doubt)
	}
	switch {
	case err == nil:
		l.c.sent[l.kind].Add(1)
		l.c.buffer.settle(h.item)
	case doubtful:
	case errors.Is(err, kerr.MessageTooLarge):
		h.noKafka = true
		l.returned(h.item, &TooLargeError{Size: len(h.key) + len(h.value), Limit: int(l.limit.Load()), Topic: l.topic})
	default:
		l.c.buffer.back(h.item)
	}
	signal(l.pump)
}

// returned gives a record the other way, if it has one.
func (l *lane) returned(it item, err error) {
	if it.noKafka && (it.noDirect || !l.c.cfg.falls()) {
		l.c.refuse(it, err)
		return
	}
	l.c.buffer.back(it)
}

// watcher is told what Kafka's client does (kgo.WithHooks).
type watcher struct {
	connected, produced atomic.Bool // once at least
	dial                atomic.Pointer[error]
}

// certain tells whether a record that failed so is certainly not in Kafka:
// because it was never sent, or because the broker has answered that it did not
// take it. Kafka's client fails a record with a timeout, or because its context
// ended, only then; when it is closed, or refused an identity, it fails all it
// has, and whatever was sent before is in doubt.
func (w *watcher) certain(err error) bool {
	if errors.Is(err, kgo.ErrClientClosed) {
		return !w.connected.Load() // a hook that tells of a write comes after it, too late for this
	}
	if !w.produced.Load() {
		return true
	}
	for _, e := range []error{
		kgo.ErrRecordTimeout, context.Canceled, context.DeadlineExceeded,
		kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.UnsupportedCompressionType,
		kerr.TopicAuthorizationFailed, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InvalidTopicException, kerr.PolicyViolation,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// limitOf is what the topic takes.
func (c *Client) limitOf(topic string) int32 {
	for _, l := range c.lanes {
		if l.topic == topic {
			return l.limit.Load()
		}
	}
	return usualLimit
}

// askLimit stays at the usual limit where the question is not allowed.
func (l *lane) askLimit(ctx context.Context) (known bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	configs, err := kadm.NewClient(l.c.kafka).DescribeTopicConfigs(ctx, l.topic)
	if err != nil {
		return false
	}
	topic, err := configs.On(l.topic, nil)
	if err != nil || topic.Err != nil {
		return false
	}
	for _, c := range topic.Configs {
		if n, err := strconv.ParseInt(c.MaybeValue(), 10, 32); c.Key == "max.message.bytes" && err == nil {
			l.limit.Store(int32(max(512, min(n, highestLimit))))
			return true
		}
	}
	return false
}

// OnBrokerConnect remembers why Kafka cannot be reached (kgo.HookBrokerConnect).
func (w *watcher) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		w.dial.Store(&err)
		return
	}
	w.connected.Store(true)
	w.dial.Store(nil)
}

// OnBrokerWrite notes the first records that may have been sent (kgo.HookBrokerWrite).
func (w *watcher) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == kmsg.Produce.Int16() {
		w.produced.Store(true)
	}
}
