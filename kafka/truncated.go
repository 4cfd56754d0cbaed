package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cenkalti/backoff/v4"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/batch"
)

// clip leaves out what an unclean election has put in the place of the range's
// records: record batches of a newer epoch. It answers where the first of them
// begins, -1 if there is none. Epochs never fall within a log. Messages of formats
// before that of Kafka 0.11 have none: they are older than any election of now.
func (f *fetcher) clip(p *kmsg.FetchResponseTopicPartition) int64 {
	const epochAt, magicAt = 12, 16 // behind first offset and length
	for at := 0; f.epoch >= 0 && at+magicAt < len(p.RecordBatches); at += batchBytes(p.RecordBatches[at:]) {
		head := p.RecordBatches[at:]
		first := int64(binary.BigEndian.Uint64(head)) //nolint:gosec // as the wire has it
		if first > f.rg.Last {
			break
		}
		if head[magicAt] >= 2 && int32(binary.BigEndian.Uint32(head[epochAt:])) > f.epoch { //nolint:gosec // as the wire has it
			p.RecordBatches = p.RecordBatches[:at]
			return first
		}
	}
	return -1
}

// replaced is the end of a read that came upon a record of a newer epoch. Where the
// leader does not know where the range's epoch ends, all from the position on
// counts as replaced.
func (f *fetcher) replaced(ctx context.Context, newer int64) error {
	end, ok, err := f.epochEnd(ctx)
	switch {
	case err != nil:
		return err
	case !ok:
		end = f.at
	case end > newer: // an answer from before another election
		return fmt.Errorf("partition %d has a newer leader epoch at %d, and epoch %d ends at %d", f.rg.Partition, newer, f.epoch, end)
	}
	return backoff.Permanent(&TruncatedError{Partition: f.rg.Partition, First: end})
}

// short is what a partition that ends before the range is: truncated, if it has a
// newer epoch, and its leader says that the range's epoch ends there too.
func (f *fetcher) short(ctx context.Context, unproven error) error {
	t, err := describe(ctx, f.cl, f.topic)
	if err != nil {
		return errors.Join(unproven, err)
	}
	elected := batch.TopicID(t.TopicID) == f.id && slices.ContainsFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool {
		return p.Partition == f.rg.Partition && p.LeaderEpoch > f.epoch
	})
	if !elected {
		return unproven
	}
	end, ok, err := f.epochEnd(ctx)
	if err != nil || !ok || end > f.at {
		return errors.Join(unproven, err)
	}
	return &TruncatedError{Partition: f.rg.Partition, First: end}
}

func (f *fetcher) epochEnd(ctx context.Context) (int64, bool, error) {
	ends, err := EpochEnds(ctx, f.cl, f.topic, []batch.Position{{Partition: f.rg.Partition, Epoch: f.epoch}})
	end, ok := ends[f.rg.Partition]
	return end, ok, err
}
