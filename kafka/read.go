package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/batch"
)

var (
	// ErrTopicGone says that no topic has this ID any more: it was deleted, and
	// its records with it.
	ErrTopicGone = errors.New("topic was deleted")
	// ErrTruncated says that the partition ends below the offset: an unclean
	// election lost what was there.
	ErrTruncated = errors.New("partition ends below the offset")
)

// LostError says that Kafka has deleted records that were to be read: the
// partition now begins at Start.
type LostError struct {
	Partition    int32
	First, Start int64
}

func (e *LostError) Error() string {
	return fmt.Sprintf("partition %d begins at %d: offsets from %d on were deleted before they were read", e.Partition, e.Start, e.First)
}

// TruncatedError says that an unclean election took records that were to be read:
// what the partition has from First on, now or later, are others.
type TruncatedError struct {
	Partition int32
	First     int64
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("partition %d was truncated to %d: what it has from there on are other records than those that were planned", e.Partition, e.First)
}

const (
	fetchBytes      = 8 << 20 // of one response
	fetchWaitMillis = 500
	minFetch        = 64 << 10
	maxFetch        = 1 << 30
	blips           = 5 * time.Second // what is worth waiting out here; anything longer is the caller's to retry
)

// Reader reads exact ranges of offsets. It is for any number of goroutines,
// over one shared client.
type Reader struct {
	cl       *kgo.Client
	patience time.Duration
	unpack   kgo.Decompressor // of all reads: it keeps its buffers

	mu   sync.Mutex
	size map[batch.TopicID]float64 // bytes per offset on the wire, as the last range had them
}

// NewReader opens nothing.
func NewReader(cl *kgo.Client) *Reader {
	return &Reader{cl: cl, patience: blips, unpack: kgo.DefaultDecompressor(), size: map[batch.TopicID]float64{}}
}

// Read calls each with every committed record of the range, in order, and
// returns when the position has passed the range's last offset: offsets without
// a record (control records, aborted transactions, compaction) are passed over.
// The records are valid during the call only. An error of each is returned as
// it is and ends the read. Errors: *LostError, ErrTopicGone, ErrTruncated, or
// what kept Kafka from answering for about five seconds. ErrTopicGone and
// ErrTruncated are what was still said after those seconds, because a broker
// that lags behind says the same, and the caller counts records as lost on it.
func (r *Reader) Read(ctx context.Context, topic string, id batch.TopicID, rg batch.Range, each func([]*kgo.Record) error) error {
	return r.ReadPlanned(ctx, topic, id, rg, -1, each)
}

// ReadPlanned is Read of records that were there under the leader epoch, or before
// (-1: unknown). One of a newer epoch is not among them, whatever its offset: it
// is not delivered, and the error is *TruncatedError. So is that of a partition
// that ends before the range, if its leader says that the epoch does.
func (r *Reader) ReadPlanned(ctx context.Context, topic string, id batch.TopicID, rg batch.Range, epoch int32, each func([]*kgo.Record) error) error {
	f := &fetcher{cl: r.cl, topic: topic, id: id, rg: rg, epoch: epoch, at: rg.First, leader: -1, size: fetchBytes, most: fetchBytes, per: r.measured(id), unpack: r.unpack, each: each}
	defer func() { r.measure(id, f) }()
	for f.at <= rg.Last {
		b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(r.patience))
		err := backoff.Retry(func() error { return f.step(ctx) }, backoff.WithContext(b, ctx))
		if errors.Is(err, ErrTruncated) && epoch >= 0 {
			err = f.short(ctx, err)
		}
		if err != nil {
			return Denied(err, "Read on topic %s", topic)
		}
	}
	return nil
}

// measured is the bytes per offset that the topic's last range had; 0: unknown.
func (r *Reader) measured(id batch.TopicID) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size[id]
}

func (r *Reader) measure(id batch.TopicID, f *fetcher) {
	if f.count == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.size[id] = float64(f.wire) / float64(f.count)
}

// fetcher reads one range.
type fetcher struct {
	cl     *kgo.Client
	topic  string
	id     batch.TopicID
	rg     batch.Range
	epoch  int32   // of the newest record that is meant; -1: not known
	at     int64   // next offset
	leader int32   // -1: not known
	size   int32   // bytes to ask for
	most   int32   // bytes that are usually enough
	per    float64 // bytes per offset before this range; 0: unknown
	wire   int64   // bytes so far, for the estimate
	count  int64   // offsets so far
	unpack kgo.Decompressor
	each   func([]*kgo.Record) error
}

// step makes one fetch. Its error is permanent if trying again cannot help.
func (f *fetcher) step(ctx context.Context) error {
	if f.leader < 0 {
		if err := f.locate(ctx); err != nil {
			return err
		}
	}
	resp, err := f.fetch(ctx)
	if err != nil {
		f.leader = -1
		return fmt.Errorf("fetch: %w", err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return f.explain(ctx, err)
		}
		return errors.New("fetch: the broker answered for other partitions than asked")
	}
	p := &resp.Topics[0].Partitions[0]
	if err := errors.Join(kerr.ErrorForCode(resp.ErrorCode), kerr.ErrorForCode(p.ErrorCode)); err != nil {
		if errors.Is(err, kerr.OffsetOutOfRange) {
			return f.outOfRange(ctx)
		}
		return f.explain(ctx, err)
	}
	newer := f.clip(p)
	if err := f.deliver(p, newer >= 0); err != nil || newer < 0 {
		return err
	}
	return f.replaced(ctx, newer)
}

// deliver hands over what the response holds and moves on. It decodes one record batch at a time, so that what is in memory is a
// batch and not a response, which can be a thousand times larger when it is decompressed. Only where transactions were aborted the
// response is decoded as a whole: which of its batches are void is told for all of them together.
func (f *fetcher) deliver(p *kmsg.FetchResponseTopicPartition, clipped bool) error {
	before := f.at
	for rest := p.RecordBatches; len(rest) > 0 && f.at <= f.rg.Last; {
		n := len(rest)
		if len(p.AbortedTransactions) == 0 {
			n = batchBytes(rest)
		}
		one := *p
		one.RecordBatches, rest = rest[:n], rest[n:]
		if err := f.process(&one); err != nil {
			return err
		}
	}
	if f.at > before {
		f.size = f.most // what was larger is behind us
		return nil
	}
	if clipped {
		return nil
	}
	return f.stuck(p)
}

// batchBytes is the length of the first record batch; all there is if that is not whole.
func batchBytes(b []byte) int {
	const head = 12 // first offset, length of what follows
	if len(b) < head {
		return len(b)
	}
	n := int64(binary.BigEndian.Uint32(b[8:])) + head
	return int(min(n, int64(len(b))))
}

func (f *fetcher) process(p *kmsg.FetchResponseTopicPartition) error {
	before := f.at
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: f.at, Topic: f.topic, Partition: f.rg.Partition, IsolationLevel: kgo.ReadCommitted(),
	}, p, f.unpack, nil)
	if fp.Err != nil {
		return backoff.Permanent(fmt.Errorf("partition %d at offset %d: %w", f.rg.Partition, f.at, fp.Err))
	}
	f.at = max(f.at, next)
	f.wire += int64(len(p.RecordBatches))
	f.count += f.at - before
	recs := fp.Records
	for len(recs) > 0 && recs[len(recs)-1].Offset > f.rg.Last {
		recs = recs[:len(recs)-1]
	}
	if len(recs) == 0 {
		return nil
	}
	if err := f.each(recs); err != nil {
		return backoff.Permanent(err)
	}
	return nil
}

// stuck says why a response led nowhere: only a record larger than was asked for
// is asked for again at once.
func (f *fetcher) stuck(p *kmsg.FetchResponseTopicPartition) error {
	switch {
	case len(p.RecordBatches) > 0 && f.size < maxFetch:
		f.size *= 2
		return nil
	case p.LastStableOffset >= 0 && f.at >= p.LastStableOffset:
		return fmt.Errorf("partition %d at offset %d: %w", f.rg.Partition, f.at, ErrTruncated)
	}
	return fmt.Errorf("partition %d at offset %d: the broker sent nothing, its log ends at %d", f.rg.Partition, f.at, p.LastStableOffset)
}

// want is about as many bytes as the rest of the range has, by what was measured
// here or in the topic's last range: a range behind which the log goes on should
// not cost a response of 8 MiB.
func (f *fetcher) want() int32 {
	per := f.per
	if f.count > 0 {
		per = float64(f.wire) / float64(f.count)
	}
	if per == 0 || f.size > f.most {
		return f.size
	}
	need := float64(f.rg.Last-f.at+1) * per * 1.05
	return int32(min(max(need, minFetch), float64(f.most)))
}

func (f *fetcher) fetch(ctx context.Context) (*kmsg.FetchResponse, error) {
	size := f.want()
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = fetchWaitMillis, 1, size
	req.IsolationLevel = 1 // read committed
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = f.topic, f.id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = f.rg.Partition, f.at, size, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := f.cl.Broker(int(f.leader)).Request(ctx, req) // unretried: a broker that is gone has another leader, which locate finds
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.FetchResponse), nil
}

// explain says what a broker's error means: mostly that the leader, or the
// topic, is to be looked up again.
func (f *fetcher) explain(ctx context.Context, err error) error {
	f.leader = -1
	if gone := f.locate(ctx); errors.Is(gone, ErrTopicGone) {
		return gone
	}
	err = fmt.Errorf("partition %d at offset %d: %w", f.rg.Partition, f.at, err)
	if IsAuth(err) {
		return backoff.Permanent(err)
	}
	return err
}

// locate finds the partition's leader. It asks by name, so that the answer tells
// a topic that has another ID by now from one that the broker does not know.
func (f *fetcher) locate(ctx context.Context) error {
	t, err := describe(ctx, f.cl, f.topic)
	switch {
	case errors.Is(err, ErrNoTopic):
		return fmt.Errorf("%s (%s): %w", f.topic, f.id, ErrTopicGone)
	case err != nil && IsAuth(err):
		return backoff.Permanent(err)
	case err != nil:
		return err
	case batch.TopicID(t.TopicID) != f.id:
		return fmt.Errorf("%s (%s) is %s by now: %w", f.topic, f.id, batch.TopicID(t.TopicID), ErrTopicGone)
	}
	for _, p := range t.Partitions {
		if p.Partition == f.rg.Partition && p.Leader >= 0 {
			f.leader = p.Leader
			return nil
		}
	}
	return fmt.Errorf("%s/%d has no leader", f.topic, f.rg.Partition)
}

// outOfRange tells deleted records from a truncated log.
func (f *fetcher) outOfRange(ctx context.Context) error {
	start, err := listOffset(ctx, f.cl, f.leader, f.topic, f.rg.Partition, startOffset)
	if err != nil {
		f.leader = -1
		return err
	}
	if start > f.at {
		return backoff.Permanent(&LostError{Partition: f.rg.Partition, First: f.at, Start: start})
	}
	return fmt.Errorf("partition %d at offset %d: %w", f.rg.Partition, f.at, ErrTruncated)
}
