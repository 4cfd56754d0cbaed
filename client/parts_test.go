package client

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

// parts are what a fuzzer makes structs of.
type parts struct {
	sec, nsec int64
	zone      int // seconds east of UTC
	id        []byte
	texts     [6]string
	pairs     string // keys and values, bars between them
	value     float64
	payload   []byte
}

func (p parts) time() time.Time {
	return time.Unix(p.sec, p.nsec).In(time.FixedZone("", p.zone%(24*3600)))
}

func (p parts) eventID() (id uuid.UUID) {
	copy(id[:], p.id)
	return id
}

func (p parts) pairsMap() map[string]string {
	if p.pairs == "" {
		return nil
	}
	out := map[string]string{}
	for kv := range slices.Chunk(strings.Split(p.pairs, "|"), 2) {
		out[kv[0]] = kv[len(kv)-1]
	}
	return out
}

func (p parts) checkAll(t *testing.T) []*sample {
	t.Helper()
	return []*sample{p.checkLog(t), p.checkMetric(t), p.checkEvent(t)}
}

func (p parts) checkLog(t *testing.T) *sample {
	t.Helper()
	l := Log{
		Timestamp: p.time(), Level: p.texts[0], Message: p.texts[1], EventID: p.eventID(),
		Service: p.texts[2], AgentID: p.texts[3], TraceID: p.texts[4], SpanID: p.texts[5], Attributes: p.pairsMap(),
	}
	s := newSample(record.Log, l.Timestamp, l.EventID)
	s.required("level", l.Level)
	s.text("message", l.Message)
	s.text("service", l.Service)
	s.text("agent_id", l.AgentID)
	s.text("trace_id", l.TraceID)
	s.text("span_id", l.SpanID)
	s.pairs("attributes", l.Attributes)
	s.end(l.Timestamp)
	dst, err := appendLog([]byte("before"), &l)
	s.check(t, "before", dst, err)
	return s
}

func (p parts) checkMetric(t *testing.T) *sample {
	t.Helper()
	m := Metric{
		Timestamp: p.time(), Name: p.texts[0], Value: p.value, EventID: p.eventID(),
		Unit: p.texts[1], Service: p.texts[2], AgentID: p.texts[3], Tags: p.pairsMap(),
	}
	s := newSample(record.Metric, m.Timestamp, m.EventID)
	s.required("name", m.Name)
	s.row["value"] = math.Float64bits(m.Value)
	number := strconv.FormatFloat(m.Value, 'e', 17, 64)
	if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
		s.fault("value", record.NumberOutOfRange)
		number = "1e999"
	}
	s.naive = append(s.naive, `,"value":`+number...)
	s.text("unit", m.Unit)
	s.text("service", m.Service)
	s.text("agent_id", m.AgentID)
	s.pairs("tags", m.Tags)
	s.end(m.Timestamp)
	dst, err := appendMetric([]byte("before"), &m)
	s.check(t, "before", dst, err)
	return s
}

func (p parts) checkEvent(t *testing.T) *sample {
	t.Helper()
	e := Event{
		Timestamp: p.time(), Type: p.texts[0], EventID: p.eventID(),
		Service: p.texts[1], AgentID: p.texts[2], TaskID: p.texts[3], TraceID: p.texts[4], Payload: p.payload,
	}
	s := newSample(record.Event, e.Timestamp, e.EventID)
	s.required("type", e.Type)
	s.text("service", e.Service)
	s.text("agent_id", e.AgentID)
	s.text("task_id", e.TaskID)
	s.text("trace_id", e.TraceID)
	s.payload(t, p.payload)
	s.end(e.Timestamp)
	dst, err := appendEvent([]byte("before"), &e, record.NewChecker(record.Event))
	s.check(t, "before", dst, err)
	return s
}

// payload asks another parser whether the text is one JSON value.
func (s *sample) payload(t *testing.T, text []byte) {
	t.Helper()
	value := string(bytes.Trim(text, " \t\r\n"))
	if s.row["payload"] = value; value == "null" {
		s.row["payload"] = ""
	}
	if len(text) == 0 {
		return
	}
	s.naive = append(s.naive, `,"payload":`...)
	s.naive = append(s.naive, text...)
	if strict(text) == nil {
		return
	}
	// Which fault it is only package record can say, of the naive JSON: up to the
	// text's end it reads the same there. A text that ends too early or too late
	// reads differently.
	err := record.NewChecker(record.Event).CheckMember(text)
	bad, ok := errors.AsType[*record.Rejected](err)
	require.True(t, ok, "%.2000q is no JSON value", text)
	s.fault("payload", bad.Reason)
	if bad.Reason == record.TrailingData || bad.Reason == record.TruncatedJSON {
		s.naive = nil
	}
}

// strict tells what the text has against it as the value of a record's field.
func strict(text []byte) error {
	if !jsontext.Value(text).IsValid() {
		return errors.New("not JSON")
	}
	for d := jsontext.NewDecoder(bytes.NewReader(text)); ; {
		if _, err := d.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if d.StackDepth() >= record.MaxDepth {
			return errors.New("too deep")
		}
	}
}
