package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
)

// A topic should not be compacted; one that is has lost the records whose keys came again, here before anybody read them. Their
// offsets are holes, and every record that is left is stored once.
func TestWhatCompactionRemovedAreHolesAndTheRestIsStoredOnce(t *testing.T) {
	s := newApache(t)
	s.ready()
	s.consumer.Kill()
	s.configure(load.Logs, map[string]string{"cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01"})
	sent := s.keyed(3000)
	s.until("the log is compacted", func() bool {
		sent += s.keyed(1) // rolls the segment: what is written to is not compacted
		return len(s.readable()) < sent/2
	})
	s.configure(load.Logs, map[string]string{"cleanup.policy": "delete"}) // so that what is left stays
	sent += s.keyed(50)
	left := s.readable()
	require.NoError(t, s.consumer.Restart())
	s.until("every record that is left is stored", func() bool { return s.count("SELECT count() FROM logs") >= int64(len(left)) })
	require.NoError(t, s.Settled(s.ctx))
	require.NoError(t, s.Marked(s.ctx, load.Logs))

	require.EqualValues(t, len(left), s.count("SELECT count() FROM logs"))
	require.EqualValues(t, len(left), s.count("SELECT uniqExact(_offset) FROM logs WHERE _partition = 0"))
	a := s.audit(0)
	require.EqualValues(t, sent, a.Offsets)
	require.EqualValues(t, len(left), a.Stored)
	require.EqualValues(t, sent-len(left), a.Holes)
	require.Zero(t, a.Lost)
}

// configure sets configurations of the topic.
func (s *scene) configure(topic string, values map[string]string) {
	s.t.Helper()
	var to []kadm.AlterConfig
	for name, v := range values {
		to = append(to, kadm.AlterConfig{Name: name, Value: &v})
	}
	changed, err := kadm.NewClient(s.Client).AlterTopicConfigs(s.ctx, to, topic)
	require.NoError(s.t, err)
	for _, c := range changed {
		require.NoError(s.t, c.Err)
	}
}

// keyed sends n logs of forty keys to partition 0.
func (s *scene) keyed(n int) int {
	s.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Seeds()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(s.t, err)
	defer cl.Close()
	var recs []*kgo.Record
	for range n {
		s.serial++
		recs = append(recs, &kgo.Record{Topic: load.Logs, Key: fmt.Append(nil, "key ", s.serial%40), Value: fmt.Appendf(nil, `{"timestamp":%d,"level":"INFO","message":"serial %d"}`, time.Now().UnixMilli(), s.serial)})
	}
	require.NoError(s.t, cl.ProduceSync(s.ctx, recs...).FirstErr())
	return n
}

// readable are the offsets of partition 0 that have a record now. The last one always has.
func (s *scene) readable() (offsets []int64) {
	s.t.Helper()
	ends, err := kadm.NewClient(s.Client).ListEndOffsets(s.ctx, load.Logs)
	require.NoError(s.t, err)
	end, _ := ends.Lookup(load.Logs, 0)
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Seeds()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{load.Logs: {0: kgo.NewOffset().AtStart()}}))
	require.NoError(s.t, err)
	defer cl.Close()
	for len(offsets) == 0 || offsets[len(offsets)-1] < end.Offset-1 {
		fetched := cl.PollFetches(s.ctx)
		require.NoError(s.t, fetched.Err())
		fetched.EachRecord(func(r *kgo.Record) { offsets = append(offsets, r.Offset) })
	}
	return offsets
}
