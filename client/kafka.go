package client

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/kafka"
)

const (
	// windowBytes is what Kafka's client holds of a kind: enough to keep a few
	// brokers busy, and what is in doubt when Kafka goes away.
	windowBytes = 16 << 20
	// pauseAfter keeps records that Kafka refuses from going round and round.
	pauseAfter = time.Second
	pauseMost  = 16 * time.Second
	// handAtOnce is how many records are handed over under one lock.
	handAtOnce = 512
)

// handed is an item in the hands of Kafka's client, and travels as the context of
// its record. Ended, it asks for the record back, which is given back if it
// certainly was not sent.
//
// Kafka's client takes a batch that a broker has answered with an error for
// unsent, even if an earlier attempt was left unanswered, and may be stored. So
// a record for which that is possible does not ask to be given back.
type handed struct {
	context.Context //nolint:containedctx // kgo carries it to the promise
	item
	l       *lane
	by      *producer
	epoch   int
	record  kgo.Record
	batched atomic.Bool  // it is part of a batch; before, it cannot have been sent
	resumed atomic.Int64 // the watcher's when it became one
}

// Done is nil while the record may have been sent.
func (h *handed) Done() <-chan struct{} {
	if h.maybeSent() {
		return nil
	}
	return h.Context.Done()
}

// Err is nil while the record may have been sent.
func (h *handed) Err() error {
	if h.maybeSent() {
		return nil
	}
	return h.Context.Err()
}

// maybeSent tells whether an attempt of the record's may have been left
// unanswered before one that was answered.
func (h *handed) maybeSent() bool {
	return h.batched.Load() && h.resumed.Load() != h.l.c.watcher.resumed.Load()
}

// producer is a client of Kafka's, and remembers whether it has produced. What the
// others have done says nothing of its records.
type producer struct {
	*kgo.Client
	produced atomic.Bool // it may have, once at least
}

// OnBrokerWrite notes the first records that may have been sent (kgo.HookBrokerWrite).
func (p *producer) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == kmsg.Produce.Int16() {
		p.produced.Store(true)
	}
}

// newKafka makes a client of Kafka's, which connects when it is first used. Its
// records are idempotent and acknowledged by all replicas in sync. All lanes
// share one, until a lane needs one of its own.
func (c *Client) newKafka() (*producer, error) {
	p := &producer{}
	opts, err := c.cfg.Kafka.Options()
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		kgo.WithHooks(&c.watcher, p),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(codecs[c.cfg.Compression], kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // as Kafka's own
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 { return c.limitOf(topic) }),
		kgo.MaxBufferedRecords(int(c.cfg.BufferBytes/overhead)+1), // the lanes' windows are the bound
		kgo.BrokerMaxWriteBytes(2*highestLimit),
		kgo.AlwaysRetryEOF(),        // a proxy whose broker is away ends connections, too
		kgo.UnknownTopicRetries(-1), // a broker that has just started knows no topic
		kgo.DisableClientMetrics(),  // Close would wait a second for them
	)
	p.Client, err = kgo.NewClient(opts...)
	return p, err
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
	case l.closing || l.learning() || time.Now().Before(l.paused):
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
	if l.recall == nil {
		l.flight, l.recall = context.WithCancel(ctx)
	}
	ctx = l.flight
	by, epoch := l.producer, l.epoch
	l.probed, l.handedAt = false, time.Now() // it is on its way
	for i := range items {
		l.now.records++
		l.now.bytes += items[i].size()
	}
	l.mu.Unlock()
	for i := range items {
		h := &slab[i]
		h.item, h.l, h.by, h.epoch = items[i], l, by, epoch
		h.Context = ctx //nolint:fatcontext // each has its own, of the same
		h.record = kgo.Record{Topic: l.topic, Key: h.key, Value: h.value, Context: h}
		by.Produce(h, &h.record, answered) //nolint:contextcheck // h's end is ctx's
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
	doubtful := err != nil && !h.certain(err)
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
		l.refused(err)
	case errors.Is(err, kerr.MessageTooLarge):
		l.tooLarge(&h.item)
	case !errors.Is(err, context.Canceled):
		l.refused(err)
	}
	l.mu.Unlock()
	if again {
		l.c.cfg.Logger.Info("kafka answers again: records go to kafka", "topic", l.topic, "in_doubt", l.doubt())
	}
	switch {
	case err == nil:
		l.c.sent[l.kind].Add(1)
		l.c.buffer.settle(h.item)
	case doubtful:
	case h.noKafka:
		l.returned(h.item, &TooLargeError{Size: len(h.key) + len(h.value), Limit: int(l.limit.Load()), Topic: l.topic})
	default:
		l.c.buffer.back(h.item)
	}
	signal(l.pump)
}

// refused keeps the next records back for a while, whatever became of this one,
// and for as long as Kafka's client is one that says the same of all. Each client
// costs connections: while none takes anything the next one has longer to wait.
// Called locked.
func (l *lane) refused(err error) {
	pause := pauseAfter
	if errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
		l.forget()
		pause = min(pauseAfter<<l.known.renewed, pauseMost)
	}
	l.kafkaErr, l.paused = err, time.Now().Add(pause)
}

// returned gives a record the other way, if it has one.
func (l *lane) returned(it item, err error) {
	if it.noKafka && (it.noDirect || !l.c.cfg.falls()) {
		l.c.refuse(it, err)
		return
	}
	l.c.buffer.back(it)
}

// certain tells whether the record, which failed so, is certainly not in Kafka:
// because it was never sent, or because the broker has answered that it did not
// take it. Kafka's client fails records only then, but for three cases: when it is
// closed, or refused an identity, it fails all it has; when the topic is another by
// now, all of the topic's; and it forgets an attempt that was left unanswered when
// a later one is answered.
func (h *handed) certain(err error) bool {
	w := &h.l.c.watcher
	switch {
	case errors.Is(err, kgo.ErrClientClosed):
		return !w.connected.Load() // a hook that tells of a write comes after it, too late for this
	case !h.by.produced.Load():
		return true
	case errors.Is(err, context.Canceled):
		return true // asked for when it was
	case errors.Is(err, kerr.UnknownServerError), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return false
	case errors.Is(err, kerr.UnknownTopicID) && h.batched.Load() && w.waits():
		return false
	}
	return !h.maybeSent()
}

// watcher is told what all of Kafka's clients do (kgo.WithHooks).
type watcher struct {
	connected atomic.Bool // once at least
	dial      atomic.Pointer[error]
	closes    atomic.Bool // connections were ended instead of answered, and nothing was answered since

	mu         sync.Mutex
	unanswered bool         // records were sent, and no answer came, and none to any others since
	resumed    atomic.Int64 // how often answers came after that
}

// OnBrokerConnect remembers why Kafka cannot be reached (kgo.HookBrokerConnect).
func (w *watcher) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if errors.Is(err, context.Canceled) {
		return // whoever gave up says nothing of Kafka, and must not hide what did
	}
	if err != nil {
		w.dial.Store(&err)
		if broken, ok := errors.AsType[net.Error](err); !ok || !broken.Timeout() {
			w.closes.Store(errors.Is(err, io.EOF))
		}
		return
	}
	w.connected.Store(true)
	w.dial.Store(nil)
}

// why is the best reason that is known why Kafka does not answer: the last one, unless connections tell more. Kafka's client tries
// again when they are closed, so that nobody else hears of it.
func (w *watcher) why(last error) error {
	if dial := w.dial.Load(); dial != nil {
		last = *dial
	}
	if w.closes.Load() && !kafka.Advised(last) {
		return kafka.ErrCloses
	}
	return last
}

// waits tells whether the last attempt of some record's was left unanswered.
func (w *watcher) waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unanswered
}

// OnBrokerE2E notes whether records that were sent are answered (kgo.HookBrokerE2E).
// It comes before Kafka's client does anything about it.
func (w *watcher) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	switch {
	case errors.Is(e.Err(), io.EOF):
		w.closes.Store(true)
	case e.Err() == nil && key != kmsg.ApiVersions.Int16(): // which is answered to anybody
		w.closes.Store(false)
	}
	if key != kmsg.Produce.Int16() || e.BytesWritten == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case e.Err() != nil:
		w.unanswered = true
	case w.unanswered:
		w.unanswered = false
		w.resumed.Add(1)
	}
}

// OnProduceRecordPartitioned notes when a record becomes part of a batch, which
// is before it can be sent (kgo.HookProduceRecordPartitioned).
func (w *watcher) OnProduceRecordPartitioned(r *kgo.Record, _ int32) {
	if h, ok := r.Context.(*handed); ok {
		h.resumed.Store(w.resumed.Load())
		h.batched.Store(true)
	}
}
