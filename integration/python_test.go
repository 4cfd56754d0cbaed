package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/rig"
	"github.com/ai-backlog/ingest/record"
)

// pythonExample is the directory of the module that docs/producers.md shows.
const pythonExample = "../docs/examples/python"

// python is the interpreter that has what the example needs.
func python(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	interpreter, err := rig.Python(ctx, filepath.Join(pythonExample, "requirements.txt"))
	if errors.Is(err, rig.ErrNoPython) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: in CI every test runs", err)
		}
		t.Skip(err)
	}
	require.NoError(t, err)
	return interpreter
}

// pythonEnv lets a program find the example and leaves nothing in the checkout.
func pythonEnv(t *testing.T, env []string) []string {
	t.Helper()
	example, err := filepath.Abs(pythonExample)
	require.NoError(t, err)
	return append(env, "PYTHONPATH="+example, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1")
}

// call is one of the module's methods and its arguments.
type call struct {
	kind   record.Kind
	fields map[string]any
}

// key is what the record's order is kept by.
func (c call) key() string {
	for _, name := range []string{"agent_id", "service"} {
		if v, _ := c.fields[name].(string); v != "" {
			return v
		}
	}
	return ""
}

// nasty are texts that something on the way could take for something else.
var nasty = []string{
	"", " ", "Grüße 😀 e\u0301 \U0010FFFF", "\x00\x01\x1f\x7f", `"quoted" \ back / slash \u0041 \N`, "line\nfeed\r\n\ttab\r", "\u0085\u2028\u2029\ufeff\ufffd",
	"</script><!-- & -->", "'; DROP TABLE logs; --", `{"a":1}`, "null", "NaN", "%s %d {} ${HOME} $(x)", "שלום مرحبا", strings.Repeat("é\n", 5000),
}

// calls are n of each kind, from several agents in turn. The names are keys too. Calls of another seed have other event_ids.
func calls(seed uint64, n int) []call {
	rng := rand.New(rand.NewPCG(seed, 7))
	text := func() string { return nasty[rng.IntN(len(nasty))] }
	scalars := func() map[string]any {
		return map[string]any{text(): text(), "n": rng.IntN(1000) - 500, "f": -0.25, "big": json.Number("12345678901234567890123"), "t": true, "f\x00": false}
	}
	began := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.FixedZone("", 5*3600+1800))
	var all []call
	for i := range n {
		for _, kind := range record.Kinds() {
			f := map[string]any{"service": "planner " + text(), "x": []any{nil, text(), map[string]any{text(): 1}}}
			switch agent := rng.IntN(12); {
			case agent == 11:
				f["service"] = "no agent"
			case agent == 10:
				delete(f, "service")
			default:
				f["agent_id"] = fmt.Sprintf("агент %d 😀\n%s", agent, nasty[agent])
			}
			if i%3 == 0 {
				f["timestamp"] = began.Add(time.Duration(i) * time.Millisecond).Format("2006-01-02T15:04:05.000000Z07:00") // as Python 3.10 reads it
			}
			if i%5 == 0 {
				f["event_id"] = fmt.Sprintf("0198f3c1-7a2b-7c3d-8e4f-%04x%08x", seed*10+uint64(kind), i)
			}
			switch kind {
			case record.Log:
				f["level"], f["message"], f["trace_id"], f["span_id"], f["attributes"] = text(), text(), text(), text(), scalars()
			case record.Metric:
				f["name"], f["value"], f["unit"], f["tags"] = text(), rng.NormFloat64()*1e9, text(), scalars()
			case record.Event:
				f["type"], f["task_id"], f["trace_id"], f["payload"] = text(), text(), text(), map[string]any{text(): []any{text(), 1.5, nil}, "a": scalars()}
			}
			all = append(all, call{kind, f})
		}
	}
	return all
}

// produce has the module make the calls in the directory, and answers the event_id of each, and the exit code.
func (s *scene) produce(dir, config string, all []call) (ids []string, code int) {
	s.t.Helper()
	script, err := filepath.Abs("testdata/produce.py")
	require.NoError(s.t, err)
	var in, out, log bytes.Buffer
	for _, c := range all {
		require.NoError(s.t, json.NewEncoder(&in).Encode([]any{c.kind.String(), c.fields}))
	}
	cmd := exec.CommandContext(s.ctx, python(s.t), script, config)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, pythonEnv(s.t, s.Env()), &in, &out, &log
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(s.t, err)
	}
	s.t.Logf("produce.py: %v\n%s", cmd.ProcessState, log.String())
	ids = strings.Fields(out.String())
	require.Len(s.t, ids, len(all))
	return ids, cmd.ProcessState.ExitCode()
}

// storedOnce compares each call with its row, and fails when there is a row of no call. The first of them were sent with a key.
func (s *scene) storedOnce(all []call, ids []string, keyed int) {
	s.t.Helper()
	require.NoError(s.t, s.Drain(s.ctx, &s.sent))
	require.NoError(s.t, s.Settled(s.ctx))
	b, err := s.Count(s.ctx)
	require.NoError(s.t, err)
	require.NoError(s.t, b.Exact(&s.sent))
	topics, err := kadm.NewClient(s.Client).ListTopics(s.ctx)
	require.NoError(s.t, err)
	for _, kind := range record.Kinds() {
		partitions := len(topics[kind.Topic()].Partitions)
		require.Greater(s.t, partitions, 1)
		goes := kgo.StickyKeyPartitioner(nil).ForTopic(kind.Topic())
		rows, last := s.storedRows(kind), map[string]int64{}
		for i, c := range all {
			if c.kind != kind {
				continue
			}
			r, ok := rows[ids[i]]
			require.True(s.t, ok, "%s is not stored", ids[i])
			delete(rows, ids[i])
			require.Equal(s.t, c.want(s.t, r.fields), r.readable(s.t))
			if given := c.fields["event_id"]; given != nil {
				require.Equal(s.t, given, ids[i])
			} else {
				madeNow(s.t, ids[i])
			}
			if key := c.key(); key != "" && i < keyed {
				require.EqualValues(s.t, goes.Partition(&kgo.Record{Key: []byte(key)}, partitions), r.partition, "%q", key)
				require.LessOrEqual(s.t, last[key], r.offset, "%q is out of order", key)
				last[key] = r.offset + 1
			}
		}
		require.Empty(s.t, rows, "rows of no call")
		require.Greater(s.t, len(last), 8)
	}
}

func TestPythonRecordsAreStoredOnceAsTheyWereSentInTheOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	python(t)
	s := newScene(t)
	all, dir := calls(1, 1000), t.TempDir()
	ids, code := s.produce(dir, "{}", all)
	require.Zero(t, code)
	s.sent.Good.Add(int64(len(all)))
	s.storedOnce(all, ids, len(all))

	// What Kafka does not take is saved, and sent by hand when Kafka can be reached.
	host, port := nobody(t)
	late := calls(2, 20)
	lateIDs, code := s.produce(dir, `{"delivery.timeout.ms": 1000, "bootstrap.servers": "`+net.JoinHostPort(host, port)+`"}`, late)
	require.Equal(t, 1, code)
	for _, kind := range record.Kinds() {
		s.sendSaved(kind, dir)
	}
	s.sent.Good.Add(int64(len(late)))
	s.storedOnce(append(all, late...), append(ids, lateIDs...), len(all))

	// Whoever does not know whether it was sent sends it again, and the page's query finds the doubles.
	doubles := page(t, "event_id", "```sql\n(.*?)```")[0][1]
	require.Empty(t, s.strings("SELECT toString(event_id) FROM ("+doubles+")"))
	s.sendSaved(record.Log, dir)
	s.sent.Good.Add(20)
	require.NoError(t, s.Drain(s.ctx, &s.sent))
	require.Len(t, s.strings("SELECT toString(event_id) FROM ("+doubles+")"), 20)

	// The page's example works as it is, and the module is a program that shows itself.
	for _, show := range []struct {
		args    []string
		prints  string
		records int64
	}{
		{[]string{"-c", page(t, "Python", "```python\n(.*?)```")[0][1]}, "", 3},
		{[]string{filepath.Join(pythonExample, "ai_backlog.py")}, page(t, "Python", "(delivered .*?\n)")[0][1], 9},
	} {
		cmd := exec.CommandContext(s.ctx, python(t), show.args...)
		cmd.Env = pythonEnv(t, s.Env())
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, show.prints, string(out))
		s.sent.Good.Add(show.records)
	}
	require.NoError(t, s.Drain(s.ctx, &s.sent))
	require.NoError(t, s.Settled(s.ctx))
	b, err := s.Count(s.ctx)
	require.NoError(t, err)
	require.NoError(t, b.Exact(&s.sent))
}

// sendSaved sends the records that the module saved in the directory.
func (s *scene) sendSaved(kind record.Kind, dir string) {
	s.t.Helper()
	send, err := s.Starter("send", "--kind", kind.String(), "--ndjson", filepath.Join(dir, kind.String()+".ndjson"))
	require.NoError(s.t, err)
	code, err := send.Wait(s.ctx)
	require.NoError(s.t, err)
	require.Zero(s.t, code, send.Log())
}

// strings is the query's only column.
func (s *scene) strings(query string) (out []string) {
	s.t.Helper()
	require.NoError(s.t, s.DB.QueryRow(s.ctx, "SELECT groupArray(*) FROM ("+query+")").Scan(&out))
	return out
}

// page is what the pattern finds in a section of docs/producers.md.
func page(t *testing.T, heading, pattern string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/producers.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	require.True(t, found, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	matches := regexp.MustCompile("(?ms)"+pattern).FindAllStringSubmatch(section, -1)
	require.NotEmpty(t, matches, pattern)
	return matches
}

func TestPythonTellsWhatCannotBeSentAndWhatWasNotDelivered(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), python(t), "testdata/check.py")
	cmd.Env = pythonEnv(t, os.Environ())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestPythonHasTheSettingsOfTheProducersPage(t *testing.T) {
	t.Parallel()
	const section = "Settings of the producer"
	cells := "^\\| `([^`]+)` \\| `([^`]+)` \\|"
	var settings, env []string
	for _, m := range page(t, section, cells) {
		if strings.HasPrefix(m[1], "KAFKA_") {
			env = append(env, m[1]+" "+m[2])
		} else {
			settings = append(settings, m[1]+" "+m[2])
		}
	}
	const script = `import ai_backlog as a, confluent_kafka, json
own = {name: value for name, value in a.settings({}).items() if name != "bootstrap.servers"}
of = {variable: name for variable, name in a.SETTINGS.items()}
given = a.settings({variable: name for variable, name in of.items()})
assert all(given[name] == name for name in of.values()), given
secure = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISMS": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p"}
confluent_kafka.Producer(a.settings(secure))
print(json.dumps([[f"{name} {json.dumps(value).strip(chr(34))}" for name, value in table.items()] for table in (own, of)]))`
	cmd := exec.CommandContext(t.Context(), python(t), "-c", script)
	cmd.Env = pythonEnv(t, os.Environ())
	out, err := cmd.Output()
	require.NoError(t, err)
	var got [2][]string
	require.NoError(t, json.Unmarshal(out, &got), string(out))
	require.ElementsMatch(t, settings, got[0])
	require.ElementsMatch(t, env, got[1])
}
