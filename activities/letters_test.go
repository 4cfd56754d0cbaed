package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestLettersAreCutByBytesTheSameEveryTime(t *testing.T) {
	b := setup(t)
	b.produce(300, 3)
	j := b.job(299)
	in, out := b.insert(j)
	_, before := b.inserts(j)
	l := letter(in, out)
	l.Limits.BlockBytes = 1200 // about ten letters
	for range 2 {
		routed, err := run[Routed](b, b.DeadLetter, l)
		require.NoError(t, err)
		require.EqualValues(t, 200, routed.Count)
		require.Equal(t, 200, b.count("SELECT count() FROM dead_letters"))
	}
	require.Equal(t, 200, b.count("SELECT uniqExact(_topic_id, _partition, _offset) FROM dead_letters"))
	sent, tokens := b.inserts(j)
	tokens -= before
	require.Greater(t, tokens, 15)
	require.Less(t, tokens, 40)
	require.Equal(t, 24, tokens, "every version of the worker has to cut as the first one did")
	require.Equal(t, before+2*tokens, sent)
}

func TestLettersThatCannotBeCopiedAreRoutedLater(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	in, out := b.insert(b.job(299))
	require.NoError(t, b.createTopic(b.ctx, DeadLetterTopic(topic)))
	b.c.Fake(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: DeadLetterTopic(topic), Err: kerr.TopicAuthorizationFailed})
	_, err := run[Routed](b, b.DeadLetter, letter(in, out))
	require.Error(t, err)
	_, err = run[Routed](b, b.DeadLetter, letter(in, out))
	require.NoError(t, err)
	require.Equal(t, 12, b.count("SELECT count() FROM dead_letters"))
	require.Equal(t, 12, b.count("SELECT uniqExact(_topic_id, _partition, _offset) FROM dead_letters"))
	at := map[string]bool{}
	for _, r := range b.copies(12) {
		at[headers(r)[headerPartition]+"/"+headers(r)[headerOffset]] = true
	}
	require.Len(t, at, 12, "a copy of each")
}

func TestLettersThatKafkaHasDeletedAreLostAndNotRouted(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	in, out := b.insert(b.job(299))
	os := kadm.Offsets{}
	os.AddOffset(topic, 1, 60, -1)
	_, err := b.adm.DeleteRecords(b.ctx, os)
	require.NoError(t, err)
	_, err = run[Routed](b, b.DeadLetter, letter(in, out))
	require.Equal(t, Lost, TroubleOf(err).Class)
	require.Equal(t, &Gone{Partition: 1, Start: 60}, TroubleOf(err).Gone)
	require.Equal(t, 0, b.count("SELECT count() FROM dead_letters"))
}

func TestATopicOfCopiesIsMadeAsConfigured(t *testing.T) {
	b := setup(t)
	b.LetterTopics = LetterTopics{Partitions: 3, Retention: 2 * time.Hour}
	b.produce(20, 10)
	in, out := b.insert(b.job(19))
	_, err := run[Routed](b, b.DeadLetter, letter(in, out))
	require.NoError(t, err)
	topics, err := b.adm.ListTopics(b.ctx, DeadLetterTopic(topic))
	require.NoError(t, err)
	require.Len(t, topics[DeadLetterTopic(topic)].Partitions, 3)
	configs, err := b.adm.DescribeTopicConfigs(b.ctx, DeadLetterTopic(topic))
	require.NoError(t, err)
	c, err := configs.On(DeadLetterTopic(topic), nil)
	require.NoError(t, err)
	for _, kv := range c.Configs {
		if kv.Key == "retention.ms" {
			require.Equal(t, "7200000", kv.MaybeValue())
		}
	}
}
