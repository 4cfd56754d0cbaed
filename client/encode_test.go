package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

func TestARecordIsWrittenAsItsDocumentationShowsIt(t *testing.T) {
	want := map[record.Kind]string{
		record.Log: `{"timestamp":"2026-09-18T05:43:03.12Z","level":"INFO","message":"a \"b\"\n<é>","event_id":"0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6",` +
			`"service":"svc-order-07","agent_id":"agent-0031","trace_id":"00000000000000009e3779b97f4a7c15","attributes":{"region":"eu-central-1"}}`,
		record.Metric: `{"timestamp":"2026-09-18T05:43:03.12Z","name":"llm.tokens","value":1234.5,"event_id":"0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6",` +
			`"unit":"tokens","service":"svc-order-07","agent_id":"agent-0031","tags":{"region":"eu-central-1"}}`,
		record.Event: `{"timestamp":"2026-09-18T05:43:03.12Z","type":"task.done","event_id":"0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6",` +
			`"service":"svc-order-07","agent_id":"agent-0031","task_id":"task-77","trace_id":"00000000000000009e3779b97f4a7c15",` +
			`"payload":{"steps":[{"tool":"grep","ms":12},{"tool":"edit","ms":3}],"ok":true}}`,
	}
	at := time.Date(2026, 9, 18, 7, 43, 3, 120_000_999, time.FixedZone("", 7200))
	l, m, e := typicalLog(), typicalMetric(), typicalEvent()
	l.Timestamp, m.Timestamp, e.Timestamp = at, at, at
	l.Message, l.Attributes, m.Tags = "a \"b\"\n<é>", map[string]string{"region": "eu-central-1"}, map[string]string{"region": "eu-central-1"}

	got := map[record.Kind]string{}
	for kind, encode := range map[record.Kind]func() ([]byte, error){
		record.Log:    func() ([]byte, error) { return appendLog(nil, &l) },
		record.Metric: func() ([]byte, error) { return appendMetric(nil, &m) },
		record.Event:  func() ([]byte, error) { return appendEvent(nil, &e, record.NewChecker(record.Log)) },
	} {
		value, err := encode()
		require.NoError(t, err)
		got[kind] = string(value)
	}
	require.Equal(t, want, got)
}

func TestEmptyOptionalFieldsAreLeftOut(t *testing.T) {
	at := time.Unix(0, 0)
	l, err := appendLog(nil, &Log{Timestamp: at, Level: "INFO", Attributes: map[string]string{}})
	require.NoError(t, err)
	require.Equal(t, `{"timestamp":"1970-01-01T00:00:00Z","level":"INFO","message":""}`, string(l)) //nolint:testifylint // byte for byte
	m, err := appendMetric(nil, &Metric{Timestamp: at, Name: "n"})
	require.NoError(t, err)
	require.Equal(t, `{"timestamp":"1970-01-01T00:00:00Z","name":"n","value":0}`, string(m)) //nolint:testifylint // byte for byte
	e, err := appendEvent(nil, &Event{Timestamp: at, Type: "t", Payload: []byte{}}, nil)
	require.NoError(t, err)
	require.Equal(t, `{"timestamp":"1970-01-01T00:00:00Z","type":"t"}`, string(e)) //nolint:testifylint // byte for byte
}

// Who forgets to fill it must not send year 1.
func TestTheEncoderRefusesTheZeroTime(t *testing.T) {
	_, err := appendLog(nil, &Log{Level: "INFO"})
	require.Equal(t, &InvalidError{record.Log, "timestamp", record.TimeOutOfRange}, err)
}
