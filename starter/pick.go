package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka"
)

// pick is which of a topic's offsets an operator means, as it was typed.
type pick struct {
	all      bool
	from, to string
	ranges   []string // partition:first-last
}

const pickHelp = `Which offsets:
  --all                      all that Kafka has
  --from X --to Y            in every partition: an offset, both ends included, or a time like 2026-01-02T03:04:05Z, from the first
                             record of that time or later, up to the last before it; without --from from the start, without --to to the end
  3:100-199 4:7 …            offsets 100 to 199 of partition 3, offset 7 of partition 4, …
A time is that of the Kafka message, which need not be in order: leave a margin.`

// bound is an offset of every partition, or a time.
type bound struct {
	offset int64
	time   time.Time
}

func parseBound(flag, s string) (b bound, err error) {
	if b.offset, err = strconv.ParseInt(s, 10, 64); err == nil && b.offset >= 0 && b.offset < math.MaxInt64 {
		return b, nil
	}
	if b.time, err = time.Parse(time.RFC3339, s); err == nil {
		return b, nil
	}
	return b, fmt.Errorf("%s %q is neither an offset nor a time like 2026-01-02T03:04:05Z", flag, s)
}

func parseRange(s string) (r batch.Range, err error) {
	part, offsets, ok := strings.Cut(s, ":")
	first, last, dash := strings.Cut(offsets, "-")
	if !dash {
		last = first
	}
	p, e1 := strconv.ParseInt(part, 10, 32)
	r.Partition = int32(p) //nolint:gosec // G115: parsed as 32 bits
	var e2, e3 error
	r.First, e2 = strconv.ParseInt(first, 10, 64)
	r.Last, e3 = strconv.ParseInt(last, 10, 64)
	if !ok || errors.Join(e1, e2, e3) != nil || p < 0 || r.First < 0 || r.Last < r.First || r.Last == math.MaxInt64 {
		return r, fmt.Errorf("%q is no range: give partition:first-last, like 3:100-199", s)
	}
	return r, nil
}

// check tells what is wrong with what was typed, before anything is asked.
func (p pick) check() error {
	ways := 0
	for _, given := range []bool{p.all, p.from != "" || p.to != "", len(p.ranges) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("say which offsets: --all, or --from and --to, or ranges like 3:100-199")
	}
	var errs []error
	for flag, s := range map[string]string{"--from": p.from, "--to": p.to} {
		if s != "" {
			_, err := parseBound(flag, s)
			errs = append(errs, err)
		}
	}
	for _, s := range p.ranges {
		_, err := parseRange(s)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// picked is what was meant, as far as the group is through with it and Kafka has it.
type picked struct {
	topicID batch.TopicID
	ranges  batch.Ranges
	above   int64 // offsets that were meant and batches are still to bring
	deleted int64 // offsets that were meant and Kafka has no more
}

// resolve clips what is meant to what Kafka has below the group's low watermarks: what is above them is batches' to bring.
func (p pick) resolve(ctx context.Context, cl *kgo.Client, group, topic string) (out picked, err error) {
	id, logs, err := kafka.Logs(ctx, cl, topic)
	if err != nil {
		return out, err
	}
	low, err := kafka.Fetch(ctx, cl, group, topic)
	if err != nil {
		return out, err
	}
	if len(low) == 0 {
		return out, fmt.Errorf("group %s has no committed offsets for topic %s, so nothing of it was ingested: check KAFKA_GROUP_ID, or start a consumer, which begins at the start by itself", group, topic)
	}
	meant, err := p.meant(ctx, cl, topic, logs)
	if err != nil {
		return out, err
	}
	out.topicID = id
	var kept, below batch.Ranges
	for part, l := range logs {
		kept = append(kept, batch.Range{Partition: part, First: l.First, Last: l.End - 1})
		below = append(below, batch.Range{Partition: part, First: 0, Last: min(low[part].Offset, l.End) - 1})
	}
	kept, below = kept.Sort(), below.Sort()
	there := meant.Sub(meant.Sub(kept))
	out.ranges = there.Sub(there.Sub(below))
	out.above = there.Len() - out.ranges.Len()
	for _, r := range meant.Sub(kept) {
		out.deleted += batch.Range{First: r.First, Last: min(r.Last, logs[r.Partition].First-1)}.Len()
	}
	return out, nil
}

// meant is the ranges as they were typed.
func (p pick) meant(ctx context.Context, cl *kgo.Client, topic string, logs map[int32]kafka.Log) (rs batch.Ranges, err error) {
	for _, s := range p.ranges {
		r, err := parseRange(s)
		if err != nil {
			return nil, err
		}
		if _, ok := logs[r.Partition]; !ok {
			return nil, fmt.Errorf("topic %s has no partition %d", topic, r.Partition)
		}
		rs = append(rs, r)
	}
	if len(rs) > 0 {
		return rs.Sort(), nil
	}
	for part, l := range logs {
		rs = append(rs, batch.Range{Partition: part, First: l.First, Last: l.End - 1})
	}
	from, err := firsts(ctx, cl, topic, "--from", p.from, 0)
	if err != nil {
		return nil, err
	}
	to, err := firsts(ctx, cl, topic, "--to", p.to, 1) // an offset is included, a time is not
	if err != nil {
		return nil, err
	}
	for i, r := range rs {
		end := r.Last + 1
		if from != nil {
			rs[i].First = from(r.Partition, end)
		}
		if to != nil {
			rs[i].Last = to(r.Partition, end) - 1
		}
	}
	return rs.Sort(), nil
}

// firsts is where a bound is in each partition: an offset and plus, or the first offset of a time or later, which is the end where
// there is none.
func firsts(ctx context.Context, cl *kgo.Client, topic, flag, s string, plus int64) (func(part int32, end int64) int64, error) {
	if s == "" {
		return nil, nil
	}
	b, err := parseBound(flag, s)
	if err != nil {
		return nil, err
	}
	if b.time.IsZero() {
		return func(int32, int64) int64 { return b.offset + plus }, nil
	}
	at, err := kafka.OffsetsAt(ctx, cl, topic, b.time)
	if err != nil {
		return nil, err
	}
	return func(part int32, end int64) int64 {
		if o, ok := at[part]; ok {
			return o
		}
		return end
	}, nil
}
