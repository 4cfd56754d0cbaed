package integration

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
	"github.com/ai-backlog/ingest/kafka"
)

// Brokers that are elected, asked to stop and killed lose nothing while all but one have what was acknowledged. So no leader, at no
// moment, says that an epoch ends below what it, or another, said was there under it; and whoever reads what was there under an
// epoch gets every record, then and later: none is of a newer epoch than its end was.
func TestNoRecordIsTakenForAnotherWhileLeadersMove(t *testing.T) {
	apacheNeeded(t)
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	r, err := rig.Start(ctx, rig.Options{Brokers: 3, Dir: t.TempDir(), Log: os.Stderr})
	require.NoError(t, err)
	defer r.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Seeds()...), kgo.AlwaysRetryEOF())
	require.NoError(t, err)
	defer cl.Close()

	moving, stopped := context.WithCancel(ctx)
	var faults errgroup.Group
	faults.Go(func() error { return moveLeaders(moving, r.Client) })
	faults.Go(func() error {
		for moving.Err() == nil {
			recs := make([]*kgo.Record, 100)
			for i := range recs {
				recs[i] = &kgo.Record{Topic: load.Logs, Value: []byte("x")}
			}
			if err := r.Client.ProduceSync(ctx, recs...).FirstErr(); err != nil {
				return err
			}
		}
		return nil
	})
	e := &epochs{cl: cl, reader: kafka.NewReader(cl), at: map[int32]batch.Position{}}
	e.reads.SetLimit(8)
	faults.Go(func() error { return e.plan(moving) })
	for i, b := range slices.Concat(r.Brokers, r.Brokers) {
		stop := b.Stop
		if i >= len(r.Brokers) {
			stop = b.Kill
		}
		require.NoError(t, stop())
		require.NoError(t, r.Until(ctx, "more is planned without the broker", e.more(5)))
		require.NoError(t, b.Start(ctx))
		require.NoError(t, r.Until(ctx, "more is planned with the broker", e.more(10)))
	}
	stopped()
	require.NoError(t, faults.Wait())
	require.NoError(t, e.reads.Wait())
	for _, p := range e.planned {
		require.NoError(t, e.read(ctx, p), "again")
	}
	t.Logf("%d ranges, %d questions where an epoch ended, up to %v", len(e.planned), e.asked, e.at)
	require.Positive(t, e.asked)
}

// moveLeaders gives every partition another leader, again and again.
func moveLeaders(ctx context.Context, cl *kgo.Client) error {
	adm := kadm.NewClient(cl)
	for ctx.Err() == nil {
		ts, err := adm.ListTopics(ctx, load.Logs)
		if err != nil {
			continue
		}
		var to kadm.AlterPartitionAssignmentsReq
		var elect kadm.TopicsSet
		for _, p := range ts[load.Logs].Partitions {
			to.Assign(load.Logs, p.Partition, append(slices.Clone(p.Replicas[1:]), p.Replicas[0]))
			elect.Add(load.Logs, p.Partition)
		}
		_, _ = adm.AlterPartitionAssignments(ctx, to) // a broker may be away
		_, _ = adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, elect)
	}
	return nil
}

// epochs plans as a planner does, and reads as a worker does.
type epochs struct {
	cl     *kgo.Client
	reader *kafka.Reader
	reads  errgroup.Group

	mu      sync.Mutex
	at      map[int32]batch.Position
	planned []plannedRange
	asked   int // where an epoch that had ended did
}

type plannedRange struct {
	batch.Range
	id    batch.TopicID
	epoch int32
}

// more is when n rounds have planned something.
func (e *epochs) more(n int) func(context.Context) (bool, string) {
	began := -1
	return func(context.Context) (bool, string) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if began < 0 {
			began = len(e.planned)
		}
		return len(e.planned) >= began+n, ""
	}
}

func (e *epochs) plan(ctx context.Context) error {
	for ctx.Err() == nil {
		id, logs, err := kafka.Logs(ctx, e.cl, load.Logs)
		if err != nil {
			continue
		}
		var ask []batch.Position
		for p, l := range logs {
			at, ok := e.at[p]
			if ok && l.Epoch > at.Epoch {
				ask = append(ask, at)
			}
			if l.End <= at.Offset {
				continue
			}
			r := plannedRange{batch.Range{Partition: p, First: at.Offset, Last: l.End - 1}, id, l.Epoch}
			e.mu.Lock()
			e.at[p] = batch.Position{Partition: p, Offset: l.End, Epoch: l.Epoch}
			e.planned = append(e.planned, r)
			e.mu.Unlock()
			e.reads.Go(func() error { return e.read(context.WithoutCancel(ctx), r) })
		}
		ends, err := kafka.EpochEnds(ctx, e.cl, load.Logs, ask)
		if err != nil {
			continue
		}
		for _, at := range ask {
			if end, ok := ends[at.Partition]; ok && end < at.Offset {
				return &kafka.TruncatedError{Partition: at.Partition, First: end}
			}
			e.asked++
		}
	}
	return nil
}

// read is whole in the end, or what was planned counts as lost.
func (e *epochs) read(ctx context.Context, p plannedRange) error {
	for {
		var n int64
		err := e.reader.ReadPlanned(ctx, load.Logs, p.id, p.Range, p.epoch, func(recs []*kgo.Record) error {
			n += int64(len(recs))
			return nil
		})
		var torn *kafka.TruncatedError
		var lost *kafka.LostError
		switch {
		case err == nil && n == p.Len():
			return nil
		case err == nil:
			return errors.New("records of " + p.String() + " are missing")
		case errors.As(err, &torn), errors.As(err, &lost), ctx.Err() != nil:
			return err
		}
	}
}
