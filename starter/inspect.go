package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/converter"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka"
)

// inspect compares the plan log's newest entry with what Kafka's leaders say now, as
// the planner does.
func inspect(ctx context.Context, c temporal, cfg Config, topic, table string) (d damage, err error) {
	cl, err := openKafka(ctx, cfg.Kafka)
	if err != nil {
		return d, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	id, logs, err := kafka.Logs(ctx, cl, topic)
	if err != nil {
		return d, kafka.Hint(err)
	}
	d = damage{Topic: topic, TopicID: id, Truncated: []loss{}}
	commits, err := kafka.Fetch(ctx, cl, cfg.Kafka.GroupID, topic)
	if err != nil {
		return d, kafka.Hint(err)
	}
	newest, err := newestEntry(ctx, c, cfg.Kafka.GroupID, topic, id, commits)
	if err != nil {
		return d, err
	}
	var ask []batch.Position
	for _, at := range newest.Next {
		log, ok := logs[at.Partition]
		switch {
		case !ok || at.Offset == 0:
		case at.Epoch >= 0 && log.Epoch > at.Epoch:
			ask = append(ask, at)
		case log.End < at.Offset:
			d.Short = append(d.Short, at)
		}
	}
	ends, err := kafka.EpochEnds(ctx, cl, topic, ask)
	if err != nil {
		return d, kafka.Hint(err)
	}
	for _, at := range ask {
		log := logs[at.Partition]
		end, known := ends[at.Partition]
		switch {
		case known && end < at.Offset:
			t := batch.Truncation{Partition: at.Partition, End: end, Planned: at.Offset, Epoch: at.Epoch, Leader: log.Epoch}
			d.Truncated = append(d.Truncated, loss{Truncation: t, LogEnd: log.End, KeptID: batch.KeptID(id, t)})
		case !known && log.End < at.Offset:
			d.Short = append(d.Short, at)
		}
	}
	return d, d.countRows(ctx, table)
}

// countRows asks ClickHouse what it has of lost records.
func (d damage) countRows(ctx context.Context, table string) error {
	if len(d.Truncated) == 0 {
		return nil
	}
	conn, _, err := openClickHouse(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for i := range d.Truncated {
		l := &d.Truncated[i]
		for name, n := range map[string]*int64{table: &l.Rows, "dead_letters": &l.Letters} {
			var rows uint64
			err := conn.QueryRow(ctx, "SELECT count() FROM "+name+" WHERE _topic = ? AND _topic_id = ? AND _partition = ? AND _offset >= ?", d.Topic, d.TopicID.String(), l.Partition, l.End).Scan(&rows)
			if err != nil {
				return fmt.Errorf("count rows of %s: %w", name, err)
			}
			*n = int64(rows) //nolint:gosec // rows of a table
		}
	}
	return nil
}

// newestEntry walks from where the bookmark says that the log ends.
func newestEntry(ctx context.Context, c temporal, group, topic string, id batch.TopicID, commits map[int32]kafka.Committed) (newest batch.Batch, err error) {
	var n int64
	for _, commit := range commits {
		if m, ok := batch.ReadBookmark(commit.Metadata); ok && m.TopicID == id.String() {
			n = max(n, m.Number)
		}
	}
	for n = max(0, n-1); ; n++ {
		b, err := readEntry(ctx, c, batch.ID(group, topic, id, n))
		var none *serviceerror.NotFound
		if errors.As(err, &none) {
			slices.SortFunc(newest.Next, func(a, b batch.Position) int { return cmp.Compare(a.Partition, b.Partition) })
			return newest, nil
		}
		if err != nil {
			return newest, fmt.Errorf("read batch %s: %w", batch.ID(group, topic, id, n), err)
		}
		newest = b
	}
}

func readEntry(ctx context.Context, c temporal, id string) (b batch.Batch, err error) {
	d, err := c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return b, err
	}
	first, err := c.GetWorkflowHistory(ctx, id, d.GetWorkflowExecutionInfo().GetExecution().GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	if err != nil {
		return b, err
	}
	return b, converter.GetDefaultDataConverter().FromPayloads(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &b)
}
