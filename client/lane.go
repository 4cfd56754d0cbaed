package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
)

const (
	// watchEvery is how often a lane looks whether Kafka still answers.
	watchEvery = 100 * time.Millisecond
	// probeEvery is how often it is asked, while it is away, whether it is back.
	probeEvery   = time.Second
	probeTimeout = 2 * time.Second
	// holdMost bounds for how long a Kafka that comes and goes is left alone:
	// each relapse within steady doubles the time, from FallbackAfter on.
	holdMost = time.Minute
	steady   = time.Minute
)

// lane brings the records of one kind to their topic, or straight into their
// table while Kafka leaves them unanswered.
//
// A record is always in one of three places. In the buffer's lots it is
// certainly stored nowhere, and may take either way. In the hands of Kafka's
// client it stays until that answers, because it may have been sent: it comes
// back to the lots only if it certainly was not. In a block for ClickHouse it
// stays until that is stored, or found not to be, because it may have been sent.
// So none is ever on both ways.
type lane struct {
	c     *Client
	kind  record.Kind
	topic string
	limit atomic.Int32 // bytes of a record batch that the topic takes

	start        sync.Once
	pump, divert chan struct{} // each has room for one signal: something to hand over, to store directly

	mu       sync.Mutex
	producer *producer // has the records that are handed over
	direct   bool      // the way is straight to ClickHouse
	changes  int64     // of the way
	closing  bool      // and will not change any more
	heard    bool      // Kafka has acknowledged something since watch looked
	answered time.Time // when it last had, or owed nothing
	switched time.Time
	hold     time.Duration
	known    topic
	probed   bool               // Kafka seems to be back: one record may try
	paused   time.Time          // nothing is handed over before
	epoch    int                // raised when Kafka is given up
	flight   context.Context    //nolint:containedctx // of what is handed over: its end asks for it back
	recall   context.CancelFunc // of it; nil: it is to be made
	handedAt time.Time          // when something was last
	now, old load               // in the hands of Kafka's client: since the epoch began, and from before it: in doubt
	lost     []item             // of which Kafka's client will never tell what became
	told     bool               // without another way: that Kafka is silent
	resting  time.Time          // the table refuses everything: no block is begun before
	missing  int64              // in blocks that ClickHouse has not answered for
	kafkaErr error              // what keeps Kafka from taking records, as it last said
	tableErr error              // and ClickHouse
}

// load is what Kafka's client has.
type load struct{ records, bytes int64 }

func newLane(c *Client, kind record.Kind) *lane {
	l := &lane{c: c, kind: kind, topic: c.cfg.Topics.Of(kind), producer: c.kafka, pump: make(chan struct{}, 1), divert: make(chan struct{}, 1)}
	l.limit.Store(usualLimit)
	return l
}

// begun says that Kafka owes answers from now on, however old the client is.
func (l *lane) begun() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = time.Now()
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watch decides which way records take, until ctx ends.
func (l *lane) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	asked, probed := l.learn(ctx, time.Time{}), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		asked = l.learn(ctx, asked)
		l.silent(ctx, now)
		if l.mayProbe(now) && now.Sub(probed) > probeEvery {
			l.probe(ctx)
			probed = time.Now()
		}
		if l.c.buffer.some(l.kind) { // a pause may be over, or a linger
			signal(l.pump)
			signal(l.divert)
		}
	}
}

// silent gives Kafka up when it owes answers and has given none for too long.
func (l *lane) silent(ctx context.Context, now time.Time) {
	if !l.giveUp(now, l.c.buffer.waiting(l.kind)) {
		return
	}
	signal(l.divert) // the reason may take a while
	what := "kafka does not answer: records wait for it"
	if l.c.cfg.falls() {
		what = "kafka does not answer: records go straight to clickhouse"
	}
	why := l.c.away(kafka.Denied(l.reason(ctx), "Write on topic %s", l.topic))
	l.c.cfg.Logger.Warn(what, "topic", l.topic, "in_doubt", l.doubt(), "error", why) //nolint:sloglint // one of two
}

// giveUp tells whether Kafka is silent from now on.
func (l *lane) giveUp(now time.Time, idle int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing || l.direct {
		return false
	}
	if l.heard || idle == 0 && l.now.records == 0 {
		l.answered, l.heard = now, false
	}
	if now.Sub(l.answered) < l.c.cfg.silence() {
		return false
	}
	if !l.c.cfg.falls() {
		told := l.told
		l.told = true
		return !told
	}
	if l.hold = 2 * l.hold; now.Sub(l.switched) > steady || l.hold == 0 {
		l.hold = l.c.cfg.FallbackAfter
	}
	l.hold = min(l.hold, holdMost)
	l.direct, l.probed, l.switched = true, false, now
	l.changes++
	l.begin()
	return true
}

// reason asks why Kafka gives no answer.
func (l *lane) reason(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, _, err := kafka.Logs(ctx, l.c.kafka.Client, l.topic)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		l.kafkaErr = err
	}
	if l.kafkaErr == nil {
		return errSilent
	}
	return l.kafkaErr
}

var errSilent = errors.New("no answer")

// begin asks for what is in the hands of Kafka's client back, and counts it as
// in doubt from now on. Called locked.
func (l *lane) begin() {
	l.takeBack()
	l.epoch++
	l.old.records += l.now.records
	l.old.bytes += l.now.bytes
	l.now = load{}
}

// takeBack asks Kafka's client for what it has certainly not sent. Called locked.
func (l *lane) takeBack() {
	if l.recall != nil {
		l.recall()
		l.recall = nil
	}
}

// mayProbe tells whether it is time to ask if Kafka is back, or, where there is
// no other way, what keeps it from taking records.
func (l *lane) mayProbe(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.c.cfg.falls() {
		return now.Sub(l.answered) >= leastFallback
	}
	if !l.direct || l.closing || l.probed || l.learning() || now.Sub(l.switched) < l.hold {
		return false
	}
	if l.now.records == 0 {
		return !now.Before(l.paused) // else nothing could be handed over
	}
	if now.Sub(l.handedAt) >= l.c.cfg.FallbackAfter {
		l.takeBack() // the one that tries is kept no longer than any other
	}
	return false
}

// probe asks the leaders of all the topic's partitions. Only an acknowledged
// record proves more: where they answer, one may try.
func (l *lane) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, _, err := kafka.Logs(ctx, l.c.kafka.Client, l.topic)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probed = err == nil && !l.learning()
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		l.kafkaErr = err
	}
}

// acknowledged notes that Kafka answers, and tells whether records go there again
// because of it. Called locked.
func (l *lane) acknowledged() (again bool) {
	l.heard, l.kafkaErr, l.known.renewed = true, nil, 0
	if l.told {
		l.told, l.answered = false, time.Now()
		return true
	}
	if !l.direct || l.closing || time.Since(l.switched) < l.hold {
		return false
	}
	l.direct, l.switched, l.answered = false, time.Now(), time.Now()
	l.changes++
	return true
}

// isDirect tells which way it is.
func (l *lane) isDirect() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.direct
}

// changed is how often the way was another.
func (l *lane) changed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}

// doubt is how many records may be stored where nobody has said so.
func (l *lane) doubt() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(len(l.lost)) + l.missing
	if l.producer.produced.Load() { // else Kafka's client has not sent a single one
		n += l.old.records
	}
	return n
}
