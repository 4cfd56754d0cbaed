package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
	"github.com/ai-backlog/ingest/schema"
)

const topicID = "00112233-4455-6677-8899-aabbccddeeff"

// letters is a database of this test's own with these dead letters, and the environment pointed at it.
func lettersIn(t *testing.T) driver.Conn {
	t.Helper()
	cfg, conn := clickhousetest.Database(t)
	require.NoError(t, schema.Apply(t.Context(), conn, schema.Options{Database: cfg.Database}))
	for k, v := range map[string]string{"CLICKHOUSE_HOST": cfg.Hosts[0], "CLICKHOUSE_PORT": strconv.Itoa(cfg.Port), "CLICKHOUSE_DATABASE": cfg.Database, "CLICKHOUSE_USER": cfg.User} {
		t.Setenv(k, v)
	}
	b, err := conn.PrepareBatch(t.Context(), "INSERT INTO dead_letters (key, value, headers, class, reason, code, message, batch, state, _topic, _topic_id, _partition, _offset, _kafka_timestamp, _inserted_at)")
	require.NoError(t, err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	for i, l := range []struct {
		topic, reason, state, value string
	}{
		{topic, "bad_time", "dead", `{"timestamp":"yesterday","message":"ü <&> \\"}`},
		{topic, "invalid_utf8", "dead", "{\"message\":\"\xff\"}"},
		{topic, "malformed_json", "dead", "two\nlines"},
		{topic, "bad_time", "redriven", `{"timestamp":"tomorrow"}`},
		{topic, "empty", "dead", ""},
		{"ai_backlog_events", "wrong_type", "skipped", `{"type":1}`},
		{topic, "bad_time", "dead", strings.Repeat("long ", 1000)},
		{topic, "trailing_data", "dead", "carriage return at the end\r"},
	} {
		require.NoError(t, b.Append("k\xfe", l.value, map[string]string{"h": "1"}, "undecodable", l.reason, int32(0), "why\tnot", "g/t/x/1", l.state,
			l.topic, topicID, int32(2), int64(10+i), at, at.Add(time.Duration(i)*time.Hour)))
	}
	require.NoError(t, b.Send())
	require.NoError(t, conn.Exec(t.Context(), `INSERT INTO dead_letters (key, value, headers, class, reason, message, batch, _topic, _topic_id, _partition, _offset, _kafka_timestamp)
		VALUES ('', 'of a topic that was created again', map('a', '1', 'b', '\xff', 'a', '2'), 'undecodable', 'malformed_json', 'm', 'b', '`+topic+`', '99112233-4455-6677-8899-aabbccddeeff', 2, 10, '2026-01-02 03:04:05')`))
	return conn
}

// offsetsOf are the offsets of the objects that list printed.
func offsetsOf(t *testing.T, out string) (got []int64) {
	t.Helper()
	for l := range strings.Lines(out) {
		var x letter
		require.NoError(t, json.Unmarshal([]byte(l), &x))
		got = append(got, x.Offset)
	}
	return got
}

func TestDeadLettersAreListedByWhatTheyHaveInCommon(t *testing.T) {
	lettersIn(t)
	for args, want := range map[string][]int64{
		"":                               {10, 17, 16, 15, 14, 13, 12, 11, 10},
		"--limit 2":                      {10, 17},
		"--topic ai_backlog_events":      {15},
		"--reason bad_time":              {16, 13, 10},
		"--reason bad_time --state dead": {16, 10},
		"--state skipped":                {15},
		"--since 2026-01-02T06:04:05Z --until 2026-01-02T08:04:05.006Z": {14, 13},
		"--since 1h":              {10},
		"--topic x'_OR_1_--":      nil,
		"--reason no_such_reason": nil,
	} {
		out, _, err := starter(t, "", append([]string{"deadletters", "list", "--json"}, strings.Fields(args)...)...)
		require.NoError(t, err, args)
		require.Equal(t, want, offsetsOf(t, out), args)
	}
	out, _, err := starter(t, "", "deadletters", "list", "--reason", "bad_time", "--state", "redriven")
	require.NoError(t, err)
	require.Equal(t, []string{
		"TOPIC/PARTITION/OFFSET", "STATE", "SINCE", "BYTES", "REASON", "MESSAGE",
		topic + "/2/13", "redriven", "2026-01-02", "06:04:05Z", "24", "bad_time", "why·not",
	}, strings.Fields(out))
	out, _, err = starter(t, "", "deadletters", "list", "--topic", "nowhere")
	require.NoError(t, err)
	require.Equal(t, "no dead letters\n", out)
}

func TestDeadLettersAreCounted(t *testing.T) {
	lettersIn(t)
	out, _, err := starter(t, "", "deadletters", "count", "--until", "2026-02-01T00:00:00Z")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 8)
	require.Equal(t, []string{"1", "ai_backlog_events", "wrong_type", "skipped"}, strings.Fields(lines[1])[:4])
	require.Equal(t, []string{"2", topic, "bad_time", "dead", "2026-01-02", "03:04:05Z", "2026-01-02", "09:04:05Z"}, strings.Fields(lines[2]))
	out, _, err = starter(t, "", "deadletters", "count", "--json", "--state", "redriven")
	require.NoError(t, err)
	require.JSONEq(t, `{"topic":"ai_backlog_logs","reason":"bad_time","state":"redriven","count":1,"first":"2026-01-02T06:04:05.006Z","last":"2026-01-02T06:04:05.006Z"}`, out)
}

func TestADeadLetterIsShownWhole(t *testing.T) {
	lettersIn(t)
	out, _, err := starter(t, "", "deadletters", "show", topic, "2", "11")
	require.NoError(t, err)
	for _, want := range []string{"record      " + topic + "/2/11\n", "topic id    " + topicID, "kafka time  2026-01-02T03:04:05.006Z\n", "state       dead since 2026-01-02 04:04:05Z", "reason      invalid_utf8 (undecodable)", "key         k\xfe\n", "header      h: 1\n", "value       15 bytes\n{\"message\":\"\xff\"}\n"} {
		require.Contains(t, out, want)
	}
	out, _, err = starter(t, "", "deadletters", "show", "--value", topic+"/2/12")
	require.NoError(t, err)
	require.Equal(t, "two\nlines", out)

	out, _, err = starter(t, "", "deadletters", "show", "--json", topic+"/2/10")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 2, "the topic was created again")
	var newest, oldest map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &newest))
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &oldest))
	require.Equal(t, "of a topic that was created again", newest["value"])
	require.Equal(t, []any{[]any{"YQ==", "MQ=="}, []any{"Yg==", "/w=="}, []any{"YQ==", "Mg=="}}, newest["headers_base64"], "in order, and repeated")
	require.Equal(t, "two\nlines", shownJSON(t, topic+"/2/12")["value"])
	require.JSONEq(t, `{"timestamp":"yesterday","message":"ü <&> \\"}`, oldest["value"].(string))
	require.Equal(t, "a/4=", oldest["key_base64"])
	require.NotContains(t, oldest, "key")

	for args, want := range map[string]string{
		topic + "/2/999": "there is no dead letter " + topic + "/2/999", topic + "/2": "is no dead letter: give topic/partition/offset", topic + " two 3": "is no dead letter", "--json --value a/1/2": "not both",
	} {
		_, _, err = starter(t, "", append([]string{"deadletters", "show"}, strings.Fields(args)...)...)
		require.ErrorContains(t, err, want)
	}
}

func shownJSON(t *testing.T, place string) (m map[string]any) {
	t.Helper()
	out, _, err := starter(t, "", "deadletters", "show", "--json", place)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(out), &m))
	return m
}

func TestWhatIsExportedIsSentAsItWas(t *testing.T) {
	lettersIn(t)
	out, log, err := starter(t, "", "deadletters", "export", "--topic", topic, "--until", "2026-02-01T00:00:00Z")
	require.ErrorContains(t, err, "4 of 6 dead letters are no lines of text")
	require.Equal(t, `{"timestamp":"yesterday","message":"ü <&> \\"}`+"\n"+strings.Repeat("long ", 1000)+"\n", out)
	for _, want := range []string{"/2/11 (binary: not UTF-8)", "/2/12 (line breaks); to get it: starter deadletters show --value " + topic + "/2/12\n", "/2/14 (empty)", "/2/17 (line breaks)", "exported 2, not exported 4\n"} {
		require.Contains(t, log, want)
	}
	c := broker(t)
	file := filepath.Join(t.TempDir(), "letters.ndjson")
	require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
	_, _, err = starter(t, "", "send", "--ndjson", "--topic", topic, file)
	require.NoError(t, err)
	sent := ""
	for _, r := range consume(t, c, topic, 2) {
		sent += string(r.Value) + "\n"
	}
	require.Equal(t, out, sent)

	out, log, err = starter(t, "", "deadletters", "export", "--topic", topic, "--reason", "bad_time", "--limit", "1")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(out, "\n"))
	require.Equal(t, "exported 1, not exported 0\n", log)
}

func TestDeadLettersSayWhatIsWrong(t *testing.T) {
	for args, want := range map[string]string{
		"list --state lost":           `--state "lost" is none of dead, redriven, skipped, all`,
		"list --since yesterday":      `--since "yesterday" is neither a time like`,
		"list --limit 0":              "--limit must be at least 1",
		"export":                      "say which topic",
		"export --topic t --limit=-1": "--limit must be",
	} {
		_, _, err := starter(t, "", append([]string{"deadletters"}, strings.Fields(args)...)...)
		require.ErrorContains(t, err, want, args)
	}
	t.Run("nothing listens", func(t *testing.T) {
		t.Setenv("CLICKHOUSE_HOST", "127.0.0.1")
		t.Setenv("CLICKHOUSE_PORT", "1")
		_, _, err := starter(t, "", "deadletters", "count")
		require.ErrorContains(t, err, "no answer from ClickHouse at CLICKHOUSE_HOST, CLICKHOUSE_PORT")
		require.NotContains(t, err.Error(), "\n")
	})
	t.Run("no table", func(t *testing.T) {
		conn := lettersIn(t)
		require.NoError(t, conn.Exec(t.Context(), "DROP TABLE dead_letters"))
		_, _, err := starter(t, "", "deadletters", "list")
		require.ErrorContains(t, err, "has no table dead_letters: check CLICKHOUSE_DATABASE, or start a worker")
	})
}
