package kafka

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

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
