package load

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

func TestOnlyBrokenRecordsAreRejected(t *testing.T) {
	g := New(1, Mix{Metrics: 0.3, Events: 0.3, Broken: 0.1})
	blocks := map[string]*record.Block{}
	for topic, kind := range record.Topics() {
		blocks[topic] = record.NewBlock(kind)
	}
	for range 20_000 {
		r, broken := g.Next()
		err := blocks[r.Topic].Append(r.Value, record.Coordinates{Topic: r.Topic})
		require.Equal(t, broken, err != nil, "%s: %v", r.Value, err)
	}
}
