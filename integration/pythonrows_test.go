package integration

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

// columns are what a row is compared by, all as text.
var columns = map[record.Kind]string{
	record.Log:    "'level', level, 'message', message, 'trace_id', trace_id, 'span_id', span_id, 'attributes', toJSONString(attributes)",
	record.Metric: "'name', name, 'value', toString(value), 'unit', unit, 'tags', toJSONString(tags)",
	record.Event:  "'type', type, 'task_id', task_id, 'trace_id', trace_id, 'payload', payload",
}

// storedRow is a row and where it came from.
type storedRow struct {
	partition int32
	offset    int64
	fields    map[string]string
}

// storedRows are the kind's rows by event_id; a double is a failure.
func (s *scene) storedRows(kind record.Kind) map[string]storedRow {
	s.t.Helper()
	rows, err := s.DB.Query(s.ctx, "SELECT toString(event_id), _partition, _offset, map('timestamp', toString(timestamp), 'service', service, 'agent_id', agent_id, 'extra', extra, "+
		columns[kind]+")::Map(String, String) FROM "+kind.Table())
	require.NoError(s.t, err)
	defer func() { _ = rows.Close() }()
	out := map[string]storedRow{}
	for rows.Next() {
		var id string
		var r storedRow
		require.NoError(s.t, rows.Scan(&id, &r.partition, &r.offset, &r.fields))
		require.NotContains(s.t, out, id, "stored twice")
		out[id] = r
	}
	require.NoError(s.t, rows.Err())
	return out
}

// canonical is the JSON text with its keys in order; what is not JSON stays.
func canonical(t *testing.T, text string) string {
	t.Helper()
	if text == "" {
		return ""
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), text)
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return string(out)
}

// want is the row that the call must become. A time that the call does not give is the row's own, and recent.
func (c call) want(t *testing.T, got map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{"service": "", "agent_id": "", "timestamp": got["timestamp"]}
	for name, v := range c.fields {
		switch v := v.(type) {
		case string:
			out[name] = v
		case float64:
			out[name] = strconv.FormatFloat(v, 'g', -1, 64)
		default:
			text, err := json.Marshal(v)
			require.NoError(t, err)
			out[name] = canonical(t, string(text))
		}
	}
	const layout = "2006-01-02 15:04:05.000000"
	if given := c.fields["timestamp"]; given != nil {
		at, err := time.Parse(time.RFC3339Nano, given.(string))
		require.NoError(t, err)
		out["timestamp"] = at.UTC().Format(layout)
	} else {
		at, err := time.Parse(layout, got["timestamp"])
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), at, 5*time.Minute)
	}
	for _, name := range []string{"attributes", "tags"} {
		if m, ok := c.fields[name].(map[string]any); ok {
			texts := map[string]string{}
			for k, v := range m {
				texts[k] = fmt.Sprint(v)
			}
			text, err := json.Marshal(texts)
			require.NoError(t, err)
			out[name] = string(text)
		}
	}
	out["extra"] = canonical(t, `{"x":`+out["x"]+`}`)
	delete(out, "x")
	delete(out, "event_id")
	return out
}

// readable is the row in the form of want.
func (r storedRow) readable(t *testing.T) map[string]string {
	t.Helper()
	for _, name := range []string{"attributes", "tags", "payload", "extra"} {
		if text, ok := r.fields[name]; ok {
			r.fields[name] = canonical(t, text)
		}
	}
	if v, ok := r.fields["value"]; ok {
		f, err := strconv.ParseFloat(v, 64)
		require.NoError(t, err)
		r.fields["value"] = strconv.FormatFloat(f, 'g', -1, 64)
	}
	return r.fields
}

var version7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// madeNow fails unless the event_id is a UUIDv7 of the last minutes.
func madeNow(t *testing.T, id string) {
	t.Helper()
	require.Regexp(t, version7, id)
	ms, err := strconv.ParseInt(id[:8]+id[9:13], 16, 64)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), time.UnixMilli(ms), 5*time.Minute)
}
