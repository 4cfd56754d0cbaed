package client

import (
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/ai-backlog/ingest/record"
)

// hears waits until Kafka has refused the lane's records with the error.
func hears(t *testing.T, l *lane, refusal *kerr.Error) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return errors.Is(l.kafkaErr, refusal)
	}, 30*time.Second, time.Millisecond)
}

// A broker takes a batch that has the producer, the epoch, the number and the size of one that it has for a repeat: it acknowledges
// it and writes nothing.
func TestNoRecordIsTakenForARepeatWhenTheTopicIsLearnedAnew(t *testing.T) {
	k := brokers(t)
	var tells atomic.Bool
	hideLimit(k, kerr.UnknownServerError, &tells)
	c := open(t, onlyKafka(k.ListenAddrs()))
	l := c.lanes[record.Log]
	store := func() {
		require.NoError(t, c.StoreLog(t.Context(), Log{Level: "INFO", AgentID: "a"}))
		require.NoError(t, c.Flush(within(t, 20*time.Second)))
	}
	store()
	bytes := strconv.Itoa(2 * usualLimit)
	_, err := admin(t, k).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &bytes}}, topics.Logs)
	require.NoError(t, err)
	tells.Store(true)
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.limit.Load() == 2*usualLimit && !l.learning()
	}, time.Minute, 10*time.Millisecond)
	store()
	require.Equal(t, Stats{Sent: 2}, c.Stats())
	require.Len(t, inKafka(t, k.ListenAddrs(), topics.Logs, 2), 2)
}

// Who may write to no topic is refused an identity, which Kafka's client takes for a verdict on all its life.
func TestRecordsGoToKafkaOnceTheRightToWriteIsGranted(t *testing.T) {
	may := kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: topics.Logs, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true}
	k := brokers(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "secret"), kfake.User("PLAIN", "agent", "secret", may))
	cfg := onlyKafka(k.ListenAddrs())
	cfg.Kafka.SecurityProtocol, cfg.Kafka.SASLMechanism, cfg.Kafka.SASLUsername, cfg.Kafka.SASLPassword = "SASL_PLAINTEXT", "PLAIN", "agent", "secret"
	c := open(t, cfg)
	require.NoError(t, c.StoreLog(t.Context(), Log{Level: "INFO"}))
	hears(t, c.lanes[record.Log], kerr.ClusterAuthorizationFailed)
	boss, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.SASL(plain.Auth{User: "admin", Pass: "secret"}.AsMechanism()))
	require.NoError(t, err)
	t.Cleanup(boss.Close)
	write := kadm.NewACLs().Allow("User:agent").AllowHosts("*").Topics(topics.Logs).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite)
	_, err = kadm.NewClient(boss).CreateACLs(t.Context(), write)
	require.NoError(t, err)
	require.NoError(t, c.Flush(within(t, 20*time.Second)))
	require.Equal(t, Stats{Sent: 1}, c.Stats())
}

// A kind that had nothing to say until then finds the client of Kafka's that was refused an identity, which others have left.
func TestAKindThatBeginsAfterTheRightToWriteWasGrantedGoesToKafka(t *testing.T) {
	k := brokers(t)
	var granted atomic.Bool
	k.ControlKey(kmsg.InitProducerID.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if granted.Load() {
			return nil, nil, false
		}
		resp, _ := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp, nil, true
	})
	c := open(t, onlyKafka(k.ListenAddrs()))
	require.NoError(t, c.StoreLog(t.Context(), Log{Level: "INFO"}))
	hears(t, c.lanes[record.Log], kerr.ClusterAuthorizationFailed)
	granted.Store(true)
	require.NoError(t, c.Flush(within(t, 20*time.Second)))
	require.NoError(t, c.StoreMetric(t.Context(), Metric{Name: "n"}))
	require.NoError(t, c.Flush(within(t, 20*time.Second)), "its record is not in doubt for ever")
	require.Equal(t, Stats{Sent: 2}, c.Stats())
	require.Len(t, inKafka(t, k.ListenAddrs(), topics.Metrics, 1), 1)
}

// Each costs connections, and there may be thousands of agents without the right.
func TestTheLongerKafkaGivesNoIdentityTheLessOftenItIsAskedForOne(t *testing.T) {
	k := brokers(t)
	asked := make(chan time.Time, 100)
	k.ControlKey(kmsg.InitProducerID.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		asked <- time.Now()
		resp, _ := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp, nil, true
	})
	c := open(t, onlyKafka(k.ListenAddrs()))
	for range 100 {
		require.NoError(t, c.StoreLog(t.Context(), Log{Level: "INFO"}))
	}
	last := <-asked
	for pause := pauseAfter; pause <= 4*pauseAfter; pause *= 2 {
		at := <-asked
		require.GreaterOrEqual(t, at.Sub(last), pause)
		last = at
	}
	require.Equal(t, int64(100), c.Stats().Buffered)
	require.Zero(t, c.Stats().InDoubt)
}

// A broker that knows topics by their names takes records for the new topic, too. Kafka's client gives them back once it sees that the
// topic is another, even those of which it has not heard what became.
func TestARecordIsInDoubtIfItsTopicIsAnotherBeforeItsAttemptWasAnswered(t *testing.T) {
	way := newLink()
	k := brokers(t, kfake.ListenFn(way.listen), kfake.MaxVersions(kversion.V3_7_0()))
	c := open(t, onlyKafka(k.ListenAddrs()))
	store := func() { require.NoError(t, c.StoreLog(t.Context(), Log{Level: "INFO", AgentID: "a"})) }
	store()
	require.NoError(t, c.Flush(within(t, 20*time.Second)))
	adm := admin(t, k)
	_, err := adm.DeleteTopics(t.Context(), topics.Logs)
	require.NoError(t, err)
	_, err = adm.CreateTopics(t.Context(), 4, 1, nil, topics.Logs)
	require.NoError(t, err)
	taken, first := make(chan struct{}), true // kfake asks one at a time
	var over atomic.Bool
	k.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if first {
			first = false
			close(taken)
			return nil, nil, false
		}
		return nil, io.EOF, !over.Load()
	})
	way.silence()
	store()
	<-taken
	way.mend()
	hears(t, c.lanes[record.Log], kerr.UnknownTopicID)
	over.Store(true)
	store()
	require.Eventually(t, func() bool { return c.Stats().Sent >= 2 }, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, Stats{Sent: 2, Buffered: 1, InDoubt: 1}, Stats{Sent: c.Stats().Sent, Buffered: c.Stats().Buffered, InDoubt: c.Stats().InDoubt})
	require.Len(t, inKafka(t, k.ListenAddrs(), topics.Logs, 2), 2, "the one in doubt, and the one after it")
}
