package client

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

// typicalLog is the log that package record measures with, and an event_id.
func typicalLog() Log {
	return Log{
		Timestamp: time.Date(2026, 9, 18, 5, 43, 3, 123456789, time.Local), Level: "INFO", Service: "svc-order-07", AgentID: "agent-0031",
		EventID: uuid.MustParse("0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6"), TraceID: "00000000000000009e3779b97f4a7c15",
		Message:    `handled request /api/v1/payments/callback/000013 in 0001ms bytes=00017 user_id=9e3779b1 from=10.1. ua="okhttp/4.9"`,
		Attributes: map[string]string{"http.method": "POST", "http.status": "200", "region": "eu-central-1", "k8s.pod": "pod-000000003"},
	}
}

func typicalMetric() Metric {
	l := typicalLog()
	return Metric{Timestamp: l.Timestamp, Name: "llm.tokens", Value: 1234.5, Unit: "tokens", EventID: l.EventID, Service: l.Service, AgentID: l.AgentID, Tags: map[string]string{"region": "eu-central-1", "model": "m-7"}}
}

func typicalEvent() Event {
	l := typicalLog()
	return Event{
		Timestamp: l.Timestamp, Type: "task.done", EventID: l.EventID, Service: l.Service, AgentID: l.AgentID, TaskID: "task-77", TraceID: l.TraceID,
		Payload: json.RawMessage(`{"steps":[{"tool":"grep","ms":12},{"tool":"edit","ms":3}],"ok":true}`),
	}
}

// encoders write a typical record of each kind.
func encoders() map[record.Kind]func(dst []byte) ([]byte, error) {
	l, m, e, check := typicalLog(), typicalMetric(), typicalEvent(), record.NewChecker(record.Event)
	return map[record.Kind]func([]byte) ([]byte, error){
		record.Log:    func(dst []byte) ([]byte, error) { return appendLog(dst, &l) },
		record.Metric: func(dst []byte) ([]byte, error) { return appendMetric(dst, &m) },
		record.Event:  func(dst []byte) ([]byte, error) { return appendEvent(dst, &e, check) },
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, kind := range record.Kinds() {
		b.Run(kind.String(), func(b *testing.B) {
			encode := encoders()[kind]
			dst, err := encode(nil)
			require.NoError(b, err)
			b.SetBytes(int64(len(dst)))
			b.ReportAllocs()
			for b.Loop() {
				if dst, err = encode(dst[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestEncodingAllocatesNothingWhenTheBufferIsUsedAgain(t *testing.T) {
	for kind, encode := range encoders() {
		dst, err := encode(nil)
		require.NoError(t, err)
		require.Zero(t, testing.AllocsPerRun(1000, func() { dst, err = encode(dst[:0]) }), kind)
		require.NoError(t, err)
	}
}
