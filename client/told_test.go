package client

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

func TestWithoutAnotherWayKafkaHasAllOfTheTimeAndItsSilenceIsToldOnce(t *testing.T) {
	s := newStand(t, func(c *Config) { c.FallbackAfter = -1 })
	s.kafka.cut()
	s.store(3)
	began := time.Now()
	var unsent *UnsentError
	require.ErrorAs(t, s.c.Close(within(t, 7*time.Second)), &unsent)
	require.GreaterOrEqual(t, time.Since(began), 6500*time.Millisecond)
	require.Equal(t, int64(3), unsent.Unsent)
	require.ErrorContains(t, unsent, "lost with the client: 3 records not sent")
	require.False(t, s.c.Stats().Away, "there is no other way")
	require.Equal(t, 1, strings.Count(s.log.String(), "kafka does not answer: records wait for it"), s.log)
	require.Contains(t, s.log.String(), "client is closed with records that are stored nowhere")
}

func TestATopicThatDoesNotExistIsToldAsWhatItIs(t *testing.T) {
	s := newStand(t, func(c *Config) { c.Topics = topics; c.Topics.Logs = "nowhere" })
	s.store(3)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	require.Equal(t, int64(3), s.c.Stats().Direct)
	require.Contains(t, s.log.String(), "nowhere: topic does not exist")
	require.Contains(t, s.log.String(), "in_doubt=0")
}

func TestAContextThatIsOverLeavesNoTimeAndThatIsTold(t *testing.T) {
	s := newStand(t)
	s.kafka.cut()
	s.store(5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, s.c.Close(ctx), "lost with the client: 5 records not sent")
	require.Contains(t, s.log.String(), "level=ERROR")
}

func TestAFullBufferIsNamed(t *testing.T) {
	s := newStand(t, func(c *Config) { c.BufferBytes = leastBuffer })
	s.kafka.cut()
	s.click.cut()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var err error
	for err == nil {
		err = s.c.StoreLog(ctx, Log{Level: "INFO", Message: strings.Repeat("x", 500_000)})
	}
	require.ErrorContains(t, err, "record was not accepted, the buffer is full (CLIENT_BUFFER_BYTES): ")
}

func TestMarkedRecordsAreTold(t *testing.T) {
	s := newStand(t)
	s.store(10)
	require.NoError(t, s.c.Flush(within(t, 20*time.Second)))
	s.kafka.silence()
	s.store(10)
	require.NoError(t, s.c.Close(within(t, 8*time.Second)))
	require.Contains(t, s.log.String(), "marked: starter audit removes those that kafka has too")
}

func TestARefusedRecordIsToldBeforeItIsSettled(t *testing.T) {
	cfg := onlyKafka([]string{"127.0.0.1:1"})
	var c *Client
	var buffered []int64
	cfg.OnRefused = func(record.Kind, []byte, error) { buffered = append(buffered, c.Stats().Buffered) }
	c = open(t, cfg)
	c.buffer.told = func(record.Kind) {} // nobody takes it but the test
	require.NoError(t, c.StoreLog(t.Context(), Log{Level: "INFO"}))
	for _, it := range c.buffer.take(record.Log, make([]item, 0, 1), 1) {
		c.refuse(it, &TooLargeError{})
	}
	require.Equal(t, []int64{1}, buffered, "Flush waits until it is told")
	require.Equal(t, Stats{Dropped: 1}, c.Stats())
}
