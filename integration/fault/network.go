package fault

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ai-backlog/ingest/integration/rig"
)

// lines are the links that faults choose from. A link's fault claims its server, so that what is felt is the network's.
var lines = []struct {
	claim string
	of    func(l rig.Links) *rig.Link
}{
	{kafka, func(l rig.Links) *rig.Link { return l.Kafka }},
	{temporal, func(l rig.Links) *rig.Link { return l.Temporal }},
	{clickhouse, func(l rig.Links) *rig.Link { return l.ClickHouse }},
}

// troubles are what a network does.
var troubles = []struct {
	name, what string
	begin      func(l *rig.Link, rng *rand.Rand)
}{
	{"cut-network", "every connection is ended and new ones are refused, or, as often, all that is sent is lost in silence", func(l *rig.Link, rng *rand.Rand) {
		if rng.IntN(2) == 0 {
			l.Refuse()
			return
		}
		l.Lose()
	}},
	{"slow-network", "each 32 KiB waits for 20 to 300 ms, both ways", func(l *rig.Link, rng *rand.Rand) {
		l.Slow(time.Duration(20+rng.IntN(280)) * time.Millisecond)
	}},
	{"half-open", "what is sent arrives, and the answers are lost", func(l *rig.Link, _ *rand.Rand) { l.LoseAnswers() }},
}

// network is every trouble of every line.
func network() (out []Fault) {
	for _, trouble := range troubles {
		for _, line := range lines {
			out = append(out, Fault{
				Name: trouble.name, Where: line.claim, Claims: []string{line.claim}, What: trouble.what,
				Inject: func(_ context.Context, t *Target, rng *rand.Rand) (*Injection, error) {
					l := line.of(t.Links)
					trouble.begin(l, rng)
					return &Injection{
						Felt: func(context.Context) (int64, error) { return l.Felt(), nil },
						Heal: func(context.Context) error { l.Clear(); return nil },
					}, nil
				},
			})
		}
	}
	return out
}
