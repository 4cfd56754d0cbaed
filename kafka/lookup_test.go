package kafka

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
)

func TestOffsetsAreFoundByTime(t *testing.T) {
	b := newBench(t)
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 10 {
		require.NoError(t, b.cl.ProduceSync(b.ctx, &kgo.Record{Value: []byte("x"), Timestamp: began.Add(time.Duration(i) * time.Second)}).FirstErr())
	}
	for when, want := range map[time.Duration]int64{-time.Hour: 0, 0: 0, 3 * time.Second: 3, 3500 * time.Millisecond: 4, 9 * time.Second: 9, 10 * time.Second: 10, time.Hour: 10} {
		id, at, err := At(b.ctx, b.cl, topic, began.Add(when))
		require.NoError(t, err)
		require.Equal(t, b.id, id)
		require.Equal(t, map[int32]int64{0: want}, at, "%s", when)
	}
	_, _, err := At(b.ctx, b.cl, "nowhere", began)
	require.ErrorIs(t, err, ErrNoTopic)
}

func TestOnlyACommitOfTheConsumerTellsALowWatermark(t *testing.T) {
	id := batch.TopicID{1}
	mark := func(m batch.Bookmark) string {
		j, err := json.Marshal(m)
		require.NoError(t, err)
		return string(j)
	}
	for name, c := range map[string]struct {
		committed Committed
		ok        bool
	}{
		"its own":                      {Committed{7, mark(batch.Bookmark{Version: 1, TopicID: id.String(), Low: 7})}, true},
		"moved by an operator":         {Committed{5, mark(batch.Bookmark{Version: 1, TopicID: id.String(), Low: 7})}, false},
		"Kafka's reset tool":           {Committed{7, ""}, false},
		"of the topic that was before": {Committed{7, mark(batch.Bookmark{Version: 1, TopicID: batch.TopicID{2}.String(), Low: 7})}, false},
		"of a later version":           {Committed{7, mark(batch.Bookmark{Version: 2, TopicID: id.String(), Low: 7})}, false},
	} {
		t.Run(name, func(t *testing.T) {
			low, ok := c.committed.Low(id)
			require.Equal(t, c.ok, ok)
			if ok {
				require.EqualValues(t, 7, low)
			}
		})
	}
}
