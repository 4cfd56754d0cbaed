package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheNextWorkerGoesOnBehindWhatAHeartbeatToldOf(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	j := b.job(299)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	// The worker has stored all of partition 0 when it stops in the middle: partition 1 is never answered.
	told := make(chan Progress, 1)
	dead := make(chan struct{})
	b.Temporal = beats(func(p Progress) error {
		if p.Done < 300 {
			return nil
		}
		select {
		case told <- p:
			close(dead)
		default: // once
		}
		return errGone
	})
	b.onFetch(1, func() {
		select {
		case <-dead:
		case <-time.After(3 * beatEvery):
		}
	})
	_, err := run[Inserted](b, b.Insert, in)
	require.Error(t, err)
	var last Progress
	select {
	case last = <-told:
	default:
		t.Fatal("no heartbeat told of the blocks that were acknowledged")
	}
	require.True(t, last.Doubt)
	b.exact(294)

	b.Temporal = nil
	out, err := run[Inserted](b, b.Insert, in, last)
	require.NoError(t, err)
	require.EqualValues(t, 588, out.Stored)
	require.EqualValues(t, 12, out.Rejected)
	b.exact(588)
	require.Equal(t, 588, b.metric("ingest_stored_rows_total"), "acknowledged blocks were sent again")
}
