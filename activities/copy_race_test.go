package activities

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// refusals hears of records that the client gives back with an error.
type refusals chan *kgo.Record

func (h refusals) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	if err != nil {
		select {
		case h <- r:
		default:
		}
	}
}

// A client that numbers its batches begins at zero again when it forgets a topic, and a broker takes one with the number and the size of
// one that it has for a repeat: it acknowledges it and writes nothing. The later batch here has a copy that waits for another topic, so that it
// comes to forget what the other has sent to already.
func TestACopyIsWrittenThoughAnotherBatchMadeTheTopicBefore(t *testing.T) {
	b := setup(t)
	given := make(refusals, 1)
	var err error
	b.Producer, err = kgo.NewClient(append(ProducerOptions(), kgo.SeedBrokers(b.c.ListenAddrs()...), kgo.WithHooks(given))...)
	require.NoError(t, err)
	t.Cleanup(b.Producer.Close)
	name, other := DeadLetterTopic(topic), DeadLetterTopic("other")
	letter := func(topic, value string) *kgo.Record { return &kgo.Record{Topic: topic, Value: []byte(value)} }
	require.NoError(t, b.copyOut(b.ctx, topic, []*kgo.Record{letter(name, "before")}))
	b.replaceLetterTopic(true)
	later := make(chan error)
	go func() { later <- b.copyOut(b.ctx, topic, []*kgo.Record{letter(name, "later"), letter(other, "later")}) }()
	require.Equal(t, name, (<-given).Topic)
	require.NoError(t, b.copyOut(b.ctx, topic, []*kgo.Record{letter(name, "first")}))
	_, err = b.adm.CreateTopic(b.ctx, 1, -1, nil, other)
	require.NoError(t, err)
	require.NoError(t, <-later)
	require.Equal(t, map[string]bool{"first": true, "later": true}, b.copied())
}

// Whoever finds the topic gone has the client forget it, with what others have in its hands: they hear of it, and try again.
func TestEveryCopyThatWasAcknowledgedIsThereThoughTheTopicIsDeletedAgainAndAgain(t *testing.T) {
	b := setup(t)
	name := DeadLetterTopic(topic)
	require.NoError(t, b.copyOut(b.ctx, topic, []*kgo.Record{{Topic: name, Value: []byte("before")}}))
	for round := range 4 {
		b.replaceLetterTopic(round%2 == 0)
		var wg sync.WaitGroup
		want := map[string]bool{}
		for i := range 8 {
			value := fmt.Sprintf("round %d, batch %d", round, i)
			want[value] = true
			wg.Go(func() {
				for b.copyOut(b.ctx, topic, []*kgo.Record{{Topic: name, Value: []byte(value)}}) != nil && b.ctx.Err() == nil { //nolint:revive // it tries
				}
			})
		}
		wg.Wait()
		require.NoError(t, b.ctx.Err())
		require.Equal(t, want, b.copied())
	}
}

// replaceLetterTopic deletes the topic of copies, as an operator does, who may make it again.
func (b *bench) replaceLetterTopic(again bool) {
	b.t.Helper()
	_, err := b.adm.DeleteTopic(b.ctx, DeadLetterTopic(topic))
	require.NoError(b.t, err)
	if again {
		_, err = b.adm.CreateTopic(b.ctx, 1, -1, nil, DeadLetterTopic(topic))
		require.NoError(b.t, err)
	}
}

// copied are the values that the topic of copies has.
func (b *bench) copied() map[string]bool {
	b.t.Helper()
	ends, err := b.adm.ListEndOffsets(b.ctx, DeadLetterTopic(topic))
	require.NoError(b.t, err)
	end, ok := ends.Lookup(DeadLetterTopic(topic), 0)
	require.True(b.t, ok)
	have := map[string]bool{}
	for _, r := range b.copies(int(end.Offset)) {
		have[string(r.Value)] = true
	}
	return have
}
