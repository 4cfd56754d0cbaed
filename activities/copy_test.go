package activities

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// asked hears of every question for metadata that a client sends.
type asked chan struct{}

func (a asked) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == kmsg.Metadata.Int16() {
		select {
		case a <- struct{}{}:
		default:
		}
	}
}

// A batch has a place in the worker while it waits. Each topic here is met for the first time when the one before has been asked for
// three times, which is when a client that produces to find out whether it exists makes the later ones wait the longest.
func TestTopicsOfCopiesThatAreMissingDoNotWaitForEachOther(t *testing.T) {
	b := setup(t)
	questions := make(asked, 100)
	var err error
	b.Producer, err = kgo.NewClient(append(ProducerOptions(), kgo.SeedBrokers(b.c.ListenAddrs()...), kgo.WithHooks(questions))...)
	require.NoError(t, err)
	t.Cleanup(b.Producer.Close)
	began := time.Now()
	var wg sync.WaitGroup
	topics := []string{"a", "b", "c", "d"}
	for _, topic := range topics {
		done := make(chan struct{})
		wg.Go(func() {
			defer close(done)
			if err := b.copyOut(b.ctx, topic, []*kgo.Record{{Topic: DeadLetterTopic(topic), Value: []byte("x")}}); err != nil {
				t.Error(err)
			}
		})
		for range 3 {
			select {
			case <-questions:
			case <-done:
			}
		}
	}
	wg.Wait()
	require.Less(t, time.Since(began), 5*time.Second)
	for _, topic := range topics {
		ends, err := b.adm.ListEndOffsets(b.ctx, DeadLetterTopic(topic))
		require.NoError(t, err)
		end, ok := ends.Lookup(DeadLetterTopic(topic), 0)
		require.True(t, ok)
		require.EqualValues(t, 1, end.Offset)
	}
}

// A client never takes a new topic for the one of that name that it has met.
func TestATopicOfCopiesThatIsDeletedIsMadeAgain(t *testing.T) {
	for name, again := range map[string]bool{"by the worker": false, "by an operator": true} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			copies := func() []*kgo.Record { return []*kgo.Record{{Topic: DeadLetterTopic(topic), Value: []byte("x")}} }
			require.NoError(t, b.copyOut(b.ctx, topic, copies()))
			_, err := b.adm.DeleteTopic(b.ctx, DeadLetterTopic(topic))
			require.NoError(t, err)
			if again {
				_, err = b.adm.CreateTopic(b.ctx, 1, -1, nil, DeadLetterTopic(topic))
				require.NoError(t, err)
			}
			require.NoError(t, b.copyOut(b.ctx, topic, copies()))
			require.Len(t, b.copies(1), 1)
		})
	}
}
