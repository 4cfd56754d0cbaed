package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/kafka/kafkatest"
)

func lookoutAt(t *testing.T) (*kafkatest.Broker, *kgo.Client, *lookout, *positions) {
	t.Helper()
	b := kafkatest.New(t, 1, []string{"logs"}, kfake.NumBrokers(1))
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.ListenAddrs()...), kgo.DefaultProduceTopic("logs"))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	p := newPositions(prometheus.NewRegistry())
	return b, cl, newLookout(cl, "logs", p, slog.New(slog.DiscardHandler)), p
}

func TestTheLookoutTellsHowOldTheRecordAtTheLowWatermarkIs(t *testing.T) {
	_, cl, l, p := lookoutAt(t)
	hours := func(n int) time.Time { return time.Now().Add(-time.Duration(n) * time.Hour) }
	require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Value: []byte("x"), Timestamp: hours(3)}, &kgo.Record{Value: []byte("x"), Timestamp: hours(2)}, &kgo.Record{Value: []byte("x"), Timestamp: hours(1)}).FirstErr())
	id, _, err := kafka.Logs(t.Context(), cl, "logs")
	require.NoError(t, err)
	low := func(o int64) time.Duration {
		s := at(0, o, 3, 3)
		s.TopicID = id
		p.show("logs", s)
		clear(l.tried)
		l.round(t.Context())
		_, known := p.lagging("logs")
		age, ok := known[0].age(time.Now())
		require.True(t, ok)
		return age
	}
	require.InDelta(t, 3*time.Hour, low(0), float64(time.Minute))
	require.InDelta(t, 2*time.Hour, low(1), float64(time.Minute))
	require.InDelta(t, 1*time.Hour, low(2), float64(time.Minute))
}

func TestALookThatHangsDelaysNoQuestionOfThePlanner(t *testing.T) {
	b, cl, l, p := lookoutAt(t)
	require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}).FirstErr())
	fake := b.Fake(t)
	hangs, goOn := make(chan struct{}), make(chan struct{})
	fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.SleepControl(func() {
			close(hangs)
			<-goOn
		})
		return nil, nil, false
	})
	id, _, err := kafka.Logs(t.Context(), cl, "logs")
	require.NoError(t, err)
	s := at(0, 0, 1, 1)
	s.TopicID = id
	p.show("logs", s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.round(context.WithoutCancel(t.Context()))
	}()
	<-hangs
	for range 20 {
		began := time.Now()
		_, _, err := kafka.Logs(t.Context(), cl, "logs")
		require.NoError(t, err)
		p.show("logs", s)
		require.Less(t, time.Since(began), time.Second)
	}
	close(goOn)
	<-done
	_, known := p.lagging("logs")
	require.True(t, known[0].looked)
}
