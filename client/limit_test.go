package client

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/record"
)

// admin is for what an operator does.
func admin(t *testing.T, k *kfake.Cluster) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// limit sets what the topic of logs takes, and has the broker keep to it.
func limit(t *testing.T, k *kfake.Cluster, bytes int) {
	t.Helper()
	text := strconv.Itoa(bytes)
	_, err := admin(t, k).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &text}}, topics.Logs)
	require.NoError(t, err)
	k.ControlKey(kmsg.Produce.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		req, _ := r.(*kmsg.ProduceRequest)
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				if len(p.Records) > bytes {
					return answering(req, kerr.MessageTooLarge.Code), nil, true
				}
			}
		}
		return nil, nil, false
	})
}

// hideLimit has the broker answer with the error when it is asked for a topic's limit, until it tells.
func hideLimit(k *kfake.Cluster, refusal *kerr.Error, tells *atomic.Bool) {
	k.ControlKey(kmsg.DescribeConfigs.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if tells.Load() {
			return nil, nil, false
		}
		req, _ := r.(*kmsg.DescribeConfigsRequest)
		resp, _ := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, asked := range req.Resources {
			res := kmsg.NewDescribeConfigsResponseResource()
			res.ErrorCode, res.ResourceType, res.ResourceName = refusal.Code, asked.ResourceType, asked.ResourceName
			resp.Resources = append(resp.Resources, res)
		}
		return resp, nil, true
	})
}

func TestARecordThatTheTopicTakesIsNotRefused(t *testing.T) {
	k := brokers(t)
	limit(t, k, 4_000_000)
	cfg := onlyKafka(k.ListenAddrs())
	cfg.Compression = "none"
	cfg.OnRefused = func(_ record.Kind, value []byte, err error) { t.Errorf("%d bytes: %v", len(value), err) }
	c := open(t, cfg)
	require.NoError(t, c.StoreLog(t.Context(), Log{Level: "INFO"}))
	require.NoError(t, c.Flush(within(t, 20*time.Second)))
	l := Log{Level: "INFO", Message: strings.Repeat("x", 3_000_000)}
	require.Eventually(t, func() bool { return c.StoreLog(t.Context(), l) == nil }, 20*time.Second, 10*time.Millisecond, "its limit is asked for")
	require.NoError(t, c.Flush(within(t, 20*time.Second)))
	require.Equal(t, Stats{Sent: 2}, Stats{Sent: c.Stats().Sent, Dropped: c.Stats().Dropped})
}

func TestSmallRecordsAreNotRefusedForTheSizeOfTheirBatch(t *testing.T) {
	for _, askable := range []bool{true, false} {
		t.Run("the limit may be asked for: "+strconv.FormatBool(askable), func(t *testing.T) {
			k := brokers(t)
			cfg := onlyKafka(k.ListenAddrs())
			cfg.Compression = "none"
			cfg.OnRefused = func(_ record.Kind, value []byte, err error) { t.Errorf("%d bytes: %v", len(value), err) }
			c := open(t, cfg)
			require.NoError(t, c.StoreLog(t.Context(), Log{Level: "INFO"}))
			require.NoError(t, c.Flush(within(t, 20*time.Second)))
			if !askable {
				hideLimit(k, kerr.TopicAuthorizationFailed, new(atomic.Bool))
			}
			limit(t, k, 100_000)
			l := Log{Level: "INFO", AgentID: "a", Message: strings.Repeat("x", 1000)}
			for range 2000 {
				l.EventID = uuid.Must(uuid.NewV7())
				require.NoError(t, c.StoreLog(t.Context(), l))
			}
			require.NoError(t, c.Flush(within(t, 30*time.Second)))
			require.Equal(t, Stats{Sent: 2001}, c.Stats())
			require.Len(t, inKafka(t, k.ListenAddrs(), topics.Logs, 2001), 2001)
		})
	}
}

func TestATopicThatIsDeletedAndCreatedAgainTakesRecordsAgain(t *testing.T) {
	s := newStand(t)
	s.store(10)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	clear(s.stored) // gone with the topic
	adm := admin(t, s.brokers)
	_, err := adm.DeleteTopics(t.Context(), topics.Logs)
	require.NoError(t, err)
	created, err := adm.CreateTopics(t.Context(), 4, 1, nil, topics.Logs)
	require.NoError(t, err)
	require.NoError(t, created.Error())
	before := s.c.Stats().Sent
	s.until("records go there", func(st Stats) bool {
		s.store(1)
		return st.Sent > before+10
	})
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	require.False(t, s.c.Stats().Away)
	s.exact(s.inKafka(int(s.c.Stats().Sent-before)), s.rows(record.DirectSure))
}
