package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/record"
)

// TestWhateverBothServersDoEveryRecordIsInOnePlaceOnce takes the servers away at
// random, and what they answer, while four goroutines store records of all
// kinds. CLIENT_STORM_SECONDS and CLIENT_STORM_SEED make it longer, and the same again.
func TestWhateverBothServersDoEveryRecordIsInOnePlaceOnce(t *testing.T) {
	seconds, seed := number("CLIENT_STORM_SECONDS", 12), number("CLIENT_STORM_SEED", rand.Uint64N(1<<32))
	t.Logf("CLIENT_STORM_SEED=%d", seed)
	s := newStand(t, func(c *Config) { c.BufferBytes = leastBuffer })
	over, stop := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer stop()
	var storing sync.WaitGroup
	accepted := make([]map[uuid.UUID]bool, 4)
	for i := range accepted {
		accepted[i] = map[uuid.UUID]bool{}
		storing.Go(func() { storeUntil(over, s.c, fmt.Sprint("agent ", i), accepted[i]) })
	}
	code := s.refusing()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for next := time.NewTimer(0); over.Err() == nil; next.Reset(time.Duration(rnd.IntN(1500)) * time.Millisecond) {
		select {
		case <-next.C:
		case <-over.Done():
			continue
		}
		l := s.kafka
		if rnd.IntN(3) == 0 {
			l = s.click
		}
		switch rnd.IntN(6) {
		case 0, 1:
			l.cut()
		case 2:
			l.silence()
		case 3:
			code.Store(int32(stormCodes[rnd.IntN(len(stormCodes))].Code))
		default:
			code.Store(0)
			l.mend()
		}
	}
	storing.Wait()
	code.Store(0)
	s.kafka.mend()
	s.click.mend()
	require.NoError(t, s.c.Flush(within(t, 2*time.Minute)))
	found := map[uuid.UUID]int{}
	s.everywhere(found)
	for _, m := range accepted {
		for id := range m {
			require.Equal(t, 1, found[id], "%s", id)
			delete(found, id)
		}
	}
	for id := range found { // a call that gave up must not have stored it
		t.Errorf("%s is stored, and was not accepted", id)
	}
	st := s.c.Stats()
	t.Logf("%d to Kafka, %d straight to ClickHouse", st.Sent, st.Direct)
	require.Equal(t, Stats{Sent: st.Sent, Direct: st.Direct, Away: st.Away}, st)
}

// stormCodes are what a broker answers that will take the records later.
var stormCodes = []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.KafkaStorageError, kerr.LeaderNotAvailable}

// refusing has the broker answer every record batch with the code that is stored, if it is not 0.
func (s *stand) refusing() *atomic.Int32 {
	code := &atomic.Int32{}
	s.brokers.ControlKey(kmsg.Produce.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.brokers.KeepControl()
		req, _ := r.(*kmsg.ProduceRequest)
		if n := int16(code.Load()); n != 0 { //nolint:gosec // it was one
			return answering(req, n), nil, true
		}
		return nil, nil, false
	})
	return code
}

func number(env string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(env), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// storeUntil stores about 2,000 records a second, of all kinds, and notes which were accepted.
func storeUntil(ctx context.Context, c *Client, agent string, accepted map[uuid.UUID]bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		for range 10 {
			id := uuid.Must(uuid.NewV7())
			var err error
			switch id[15] % 3 {
			case 0:
				err = c.StoreLog(ctx, Log{Level: "INFO", Message: "storm", EventID: id, AgentID: agent})
			case 1:
				err = c.StoreMetric(ctx, Metric{Name: "storm", Value: 1, EventID: id, AgentID: agent})
			default:
				err = c.StoreEvent(ctx, Event{Type: "storm", EventID: id, AgentID: agent})
			}
			if err == nil {
				accepted[id] = true
			}
		}
	}
}

// everywhere counts the records of all topics and all direct rows.
func (s *stand) everywhere(found map[uuid.UUID]int) {
	s.t.Helper()
	for _, k := range record.Kinds() {
		check := record.NewChecker(k)
		if n := s.c.sent[k].Load(); n > 0 {
			for _, r := range inKafka(s.t, s.addrs, k.Topic(), int(n)) {
				require.NoError(s.t, check.Check(r.Value))
				id, _ := check.EventID()
				found[id]++
			}
		}
		rows, err := s.conn.Query(s.t.Context(), "SELECT event_id FROM "+k.Table())
		require.NoError(s.t, err)
		for rows.Next() {
			var id uuid.UUID
			require.NoError(s.t, rows.Scan(&id))
			found[id]++
		}
		require.NoError(s.t, rows.Err())
		require.NoError(s.t, rows.Close())
	}
}
