package client

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/kafka"
)

const (
	// usualLimit is the size of a record batch where the topic's own limit may not
	// be asked for: below Kafka's default of 1,048,588.
	usualLimit = 1_000_012
	// highestLimit is what is handed over at most, whatever the topic allows.
	highestLimit = 64 << 20
	// batchOverhead is more than a record batch of one record adds to its bytes.
	batchOverhead = 128
	// leastLimit is the least that Kafka's client knows.
	leastLimit = 512
	// limitEvery is how often a topic's limit is asked for until it is known.
	limitEvery = 10 * time.Second
	// tooLargeMost is how often a record may be part of a batch that Kafka finds
	// too large, before it is taken for too large itself: the limit is halved
	// each time where it may not be asked for, from 1,000,000 bytes to 8,000.
	tooLargeMost = 7
)

// topic is what is known of a lane's topic.
type topic struct {
	asked  bool // its limit was, once at least
	known  bool // it was told
	unsure bool // and cannot be right any more
	// stale tells that the lane needs another client of Kafka's: what one takes
	// for the limit, or for the topic's ID, it never changes. The lane gets it
	// when the one that it has holds no record of the lane's any more, and
	// meanwhile gives it none.
	stale   bool
	renewed int // how often it got one since Kafka has acknowledged something
}

// learning tells whether records have to wait until more is known. Called locked.
func (l *lane) learning() bool {
	return !l.known.asked || l.known.unsure || l.known.stale
}

// forget has the topic learned anew. Called locked.
func (l *lane) forget() { l.known.stale, l.probed = true, false }

// tooLarge notes that Kafka finds a record, or the batch that it was part of, too
// large. Called locked.
func (l *lane) tooLarge(it *item) {
	if len(it.key)+len(it.value)+batchOverhead > int(l.limit.Load()) || it.tooLarge >= tooLargeMost {
		it.noKafka = true
		return
	}
	it.tooLarge++
	l.known.unsure, l.probed = true, false
}

// learn keeps what is known of the topic true. It returns when the limit was
// asked for last.
func (l *lane) learn(ctx context.Context, last time.Time) time.Time {
	l.mu.Lock()
	every := limitEvery
	if l.known.unsure {
		every = probeEvery
	}
	ask := l.known.unsure || !l.known.known
	l.mu.Unlock()
	if ask && time.Since(last) > every {
		l.askLimit(ctx)
		last = time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known.stale && l.now.records+l.old.records == 0 && !l.closing {
		l.renew()
	}
	return last
}

// renew gives the lane a client of Kafka's that has not met the topic. To have
// the old one forget it would lose records: it would number batches from zero
// again under the identity that it has, and a broker takes a batch with the
// number and the size of one that it knows for a repeat, so it acknowledges it and
// writes nothing. Called locked.
func (l *lane) renew() {
	fresh, err := l.c.newKafka()
	if err != nil {
		l.kafkaErr = err // it was made once from the same settings; it is tried again
		return
	}
	if old := l.producer; old != l.c.kafka {
		go old.Close() // it has no record, and may wait for Kafka
	}
	l.producer, l.known.stale = fresh, false
	l.known.renewed = min(l.known.renewed+1, 10) // as an exponent
	signal(l.pump)
}

// askLimit asks for the topic's limit. Where that is not allowed it stays at the
// usual one, until Kafka finds something too large.
func (l *lane) askLimit(ctx context.Context) {
	limit, err := l.describeLimit(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.known.asked
	l.known.asked = true
	switch {
	case err == nil:
		l.known.known = true
	case l.known.unsure && kafka.IsAuth(err):
		limit = max(leastLimit, l.limit.Load()/2)
	default:
		return
	}
	if l.known.unsure || !first && limit != l.limit.Load() {
		l.forget()
	}
	l.known.unsure = false
	l.limit.Store(limit)
}

func (l *lane) describeLimit(ctx context.Context) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	configs, err := kadm.NewClient(l.c.kafka.Client).DescribeTopicConfigs(ctx, l.topic)
	if err != nil {
		return 0, err
	}
	topic, err := configs.On(l.topic, nil)
	if err != nil {
		return 0, err
	}
	if topic.Err != nil {
		return 0, topic.Err
	}
	for _, c := range topic.Configs {
		if n, err := strconv.ParseInt(c.MaybeValue(), 10, 32); c.Key == "max.message.bytes" && err == nil {
			return int32(max(leastLimit, min(n, highestLimit))), nil
		}
	}
	return 0, fmt.Errorf("%s has no max.message.bytes", l.topic)
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
