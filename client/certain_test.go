package client

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
)

// answering is what a broker says to each record batch, without looking at it.
func answering(req *kmsg.ProduceRequest, code int16) kmsg.Response {
	resp, _ := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		out := kmsg.NewProduceResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewProduceResponseTopicPartition()
			part.Partition, part.ErrorCode = p.Partition, code
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// takenThenRefused has the broker take a record batch, whose answer is lost, and
// answer every later attempt with the code, until the function it returns is called.
func (s *stand) takenThenRefused(code int16) (refused *atomic.Int64, mend func()) {
	s.t.Helper()
	taken, over := make(chan struct{}), atomic.Bool{}
	refused = &atomic.Int64{}
	first := true // kfake asks one at a time
	s.brokers.ControlKey(kmsg.Produce.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.brokers.KeepControl()
		req, _ := r.(*kmsg.ProduceRequest)
		if first {
			first = false
			close(taken)
			return nil, nil, false
		}
		if over.Load() {
			return nil, nil, false
		}
		refused.Add(1)
		return answering(req, code), nil, true
	})
	s.kafka.silence()
	s.store(10)
	<-taken
	s.kafka.mend()
	return refused, func() { over.Store(true) }
}

func TestARecordWhoseFirstAnswerWasLostWaitsForKafkaWhateverTheNextOnesSay(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.LeaderNotAvailable, kerr.NotEnoughReplicas} {
		t.Run(err.Message, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.store(1)
			require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
			refused, mend := s.takenThenRefused(err.Code)
			s.until("kafka is given up", func(st Stats) bool { return st.Away && refused.Load() > 2 })
			require.Equal(t, int64(10), s.c.Stats().InDoubt)
			mend()
			require.NoError(t, s.c.Flush(within(t, 30*time.Second)))
			require.Zero(t, s.c.Stats().Direct)
			s.exact(s.inKafka(11))
		})
	}
}

func TestARecordWhoseFirstAnswerWasLostIsInDoubtWhenTheNextOneEndsIt(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.MessageTooLarge, kerr.InvalidRecord, kerr.UnknownServerError} {
		t.Run(err.Message, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.store(1)
			require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
			_, mend := s.takenThenRefused(err.Code)
			s.until("they are in doubt", func(st Stats) bool { return st.InDoubt == 10 })
			mend()
			require.NoError(t, s.c.Close(t.Context()), "it does not wait for what never comes")
			require.Equal(t, int64(10), s.c.Stats().Marked)
			marked := s.rows(record.DirectDoubt)
			require.Len(t, marked, 10)
			s.exact(s.inKafka(11))
		})
	}
}

// The storm shows what becomes of records otherwise, if it is long enough: they
// fail after an attempt without an answer, and are in doubt until the end.
func TestABrokerThatEndsConnectionsOrKnowsNoTopicIsAskedForEver(t *testing.T) {
	c := open(t, onlyKafka([]string{"localhost:1"}))
	require.Equal(t, int64(-1), c.kafka.OptValue(kgo.UnknownTopicRetries))
	require.Equal(t, true, c.kafka.OptValue(kgo.AlwaysRetryEOF))
}

func TestWithoutAnotherWayTheErrorSaysWhatKafkaHasAgainstIt(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(k.Close)
	c := open(t, onlyKafka(k.ListenAddrs()))
	require.NoError(t, c.StoreLog(t.Context(), Log{Level: "INFO"}))
	require.Eventually(t, func() bool {
		return errors.Is(c.Flush(within(t, 100*time.Millisecond)), kafka.ErrNoTopic)
	}, 20*time.Second, time.Millisecond)
}
