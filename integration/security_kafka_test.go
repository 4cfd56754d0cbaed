package integration

import (
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/rig"
)

func TestEachRightWayIntoKafkaBringsRecordsToTheirPlaceAndEachWrongOneNamesItsSetting(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.scram("ingest")
	g.grant("ingest", documented()...)
	g.grant("CN=agent", documented()...)
	ways := g.ways()
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		t.Run(name, func(t *testing.T) {
			g.t = t
			g.programs(ways[name], ways[name])
			g.sendBy(ways[name], 20)
			require.NoError(t, g.Drain(g.ctx, &g.sent))
			g.worker.Stop()
			g.consumer.Stop()
		})
	}
	for _, name := range []string{"SSL, both certified", "SASL_SSL SCRAM-SHA-512"} {
		t.Run("Python: "+name, func(t *testing.T) {
			g.t = t
			g.python(ways[name])
		})
	}
	g.t = t
	require.NoError(t, g.Produce(g.ctx, g.gen, 2000, &g.sent, nil)) // while nobody is there to store it
	direct := g.wrong(t)
	g.programs(ways["SASL_SSL SCRAM-SHA-256"], ways["SSL"])
	g.sent.Good.Add(direct)
	require.NoError(t, g.Drain(g.ctx, &g.sent))
	g.sent.Good.Add(-direct)
	require.Equal(t, direct, g.count(directRows))
	g.exec("DELETE FROM logs WHERE _partition = -1", "DELETE FROM metrics WHERE _partition = -1", "DELETE FROM events WHERE _partition = -1")
	g.exact()
	g.clean(topics...)
}

// directRows counts each record that agents stored straight in ClickHouse once.
const directRows = "SELECT uniqExact(event_id) FROM (SELECT event_id FROM logs WHERE _partition = -1 UNION ALL SELECT event_id FROM metrics WHERE _partition = -1" +
	" UNION ALL SELECT event_id FROM events WHERE _partition = -1)"

// python has the example send two logs.
func (g *guarded) python(w way) {
	g.t.Helper()
	script, err := filepath.Abs("testdata/produce.py")
	require.NoError(g.t, err)
	cmd := exec.CommandContext(g.ctx, python(g.t), script, "{}")
	cmd.Dir, cmd.Env = g.t.TempDir(), pythonEnv(g.t, append(g.Env(), w...))
	cmd.Stdin = strings.NewReader(strings.Repeat(`["log", {"level": "INFO", "message": "by Python"}]`+"\n", 2))
	out, err := cmd.CombinedOutput()
	require.NoError(g.t, err, string(out))
	g.sent.Good.Add(2)
}

// mistake is a wrong way: what its line has to name, and whether Kafka has answered, so that the programs end.
type mistake struct {
	name  string
	way   way
	final bool
	want  []string
}

func (g *guarded) mistakes() []mistake {
	const protocol, authorities, user = "KAFKA_SECURITY_PROTOCOL", "KAFKA_SSL_CA_LOCATION", "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
	return []mistake{
		{"no TLS where there is TLS", g.by("SSL", "PLAINTEXT"), false, []string{protocol}},
		{"TLS where there is none", g.by("", "SSL"), false, []string{protocol}},
		{"a login without TLS where there is TLS", g.by("SASL_SSL", "SASL_PLAINTEXT", as("ingest", "PLAIN", secret)...), false, []string{protocol}},
		{"a login with TLS where there is none", g.by("SASL_PLAINTEXT", "SASL_SSL", as("ingest", "PLAIN", secret)...), false, []string{protocol}},
		{"no login where one is asked for", g.by("SASL_PLAINTEXT", "PLAINTEXT"), false, []string{protocol}},
		{"no login where one is asked for with TLS", g.by("SASL_SSL", "SSL"), false, []string{protocol}},
		{"a login where none is asked for", g.by("", "SASL_PLAINTEXT", as("ingest", "PLAIN", secret)...), true, []string{protocol}},
		{"an authority that did not sign", g.by("SSL", "SSL", "KAFKA_SSL_CA_LOCATION="+g.stranger.File), false, []string{authorities}},
		{"no authority of one's own", g.by("SSL", "SSL", "KAFKA_SSL_CA_LOCATION="), false, []string{authorities}},
		{"a certificate that is over", g.by("EXPIRED", "SSL"), false, []string{"renew the certificate", "KAFKA_SERVERS"}},
		{"a certificate for another host", g.by("ELSEWHERE", "SSL"), false, []string{"KAFKA_SERVERS", "as its certificate does"}},
		{"no certificate where one is asked for", g.by("MUTUAL", "SSL"), false, []string{"KAFKA_SSL_CERTIFICATE_LOCATION"}},
		{"a wrong password", g.by("SASL_PLAINTEXT", "SASL_PLAINTEXT", as("ingest", "PLAIN", "wrong")...), true, []string{user}},
		{"a wrong password by SCRAM", g.by("SASL_SSL", "SASL_SSL", as("ingest", "SCRAM-SHA-512", "wrong")...), true, []string{user}},
		{"a user that is not", g.by("SASL_SSL", "SASL_SSL", as("nobody", "SCRAM-SHA-256", secret)...), true, []string{user}},
		{"a mechanism that the user is not made for", g.by("SASL_PLAINTEXT", "SASL_PLAINTEXT", as("planner", "SCRAM-SHA-256", secret)...), true, []string{user, "KAFKA_SASL_MECHANISMS"}},
		{"a mechanism that the broker does not have", g.by("SCRAM", "SASL_PLAINTEXT", as("ingest", "PLAIN", secret)...), true, []string{"KAFKA_SASL_MECHANISMS"}},
	}
}

// wrong tries each wrong way with each program, some at once, and answers how many records agents stored straight in ClickHouse.
func (g *guarded) wrong(t *testing.T) (direct int64) {
	t.Helper()
	n := 0
	for some := range slices.Chunk(g.mistakes(), 3) {
		var tries []*attempt
		for _, m := range some {
			n++
			tries = append(tries, g.attempt(m, n))
		}
		for _, a := range tries {
			t.Run(a.name, func(t *testing.T) {
				g.t = t
				direct += g.ends(a)
			})
		}
	}
	return direct
}

// attempt is all programs on a wrong way.
type attempt struct {
	mistake
	worker, consumer, starter, agent *rig.Process
}

func (g *guarded) attempt(m mistake, n int) *attempt {
	g.t.Helper()
	a := &attempt{mistake: m}
	for _, l := range []struct {
		p       **rig.Process
		program string
		env     []string
		args    []string
	}{
		{&a.worker, "worker", nil, nil},
		{&a.consumer, "consumer", nil, nil},
		{&a.starter, "starter", nil, []string{"send", "--timeout", "5s", "testdata/produce.py"}},
		{&a.agent, "agent", []string{"FALLBACK_AFTER=1s"}, []string{"-agent", strconv.Itoa(n), "-rate", "50", "-deadline", "20s"}},
	} {
		var err error
		*l.p, err = g.Launch(l.program, append(slices.Clone(m.way), l.env...), l.args...)
		require.NoError(g.t, err)
	}
	return a
}

// ends requires that each program has said what is wrong, and answers how many records the agent has stored in ClickHouse.
func (g *guarded) ends(a *attempt) int64 {
	t := g.t
	t.Helper()
	quick, cancel := context.WithTimeout(g.ctx, time.Minute)
	defer cancel()
	for name, p := range map[string]*rig.Process{"worker": a.worker, "consumer": a.consumer, "starter": a.starter} {
		if a.final || p == a.starter {
			code, err := p.Wait(quick)
			require.NoError(t, err, p.Log())
			require.Positive(t, code, p.Log())
			require.Len(t, complaints(p.Log()), 1, p.Log())
		} else {
			said(t, p, "waiting")
			require.True(t, p.Alive(), p.Log())
			require.LessOrEqual(t, len(complaints(p.Log())), 2, p.Log()) // a connection ends in more than one way
		}
		for _, line := range complaints(p.Log()) {
			a.named(t, name, line)
		}
	}
	a.worker.Kill()
	a.consumer.Kill()
	said(t, a.agent, "straight to clickhouse")
	a.agent.Stop()
	log := a.agent.Log()
	for line := range strings.Lines(log) {
		if strings.Contains(line, "straight to clickhouse") {
			a.named(t, "agent", line)
		}
	}
	var last struct {
		Closed   bool
		Accepted int64
	}
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "{") {
			require.NoError(t, json.Unmarshal([]byte(line), &last), line)
		}
	}
	require.True(t, last.Closed, log)
	require.Positive(t, last.Accepted, log)
	require.NotContains(t, log, secret)
	return last.Accepted
}

// said waits until the program has said it; others may have ended by themselves meanwhile, as they should.
func said(t *testing.T, p *rig.Process, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.Log(), text) }, time.Minute, 50*time.Millisecond, text)
}

// named requires that the line says which settings to look at.
func (a *attempt) named(t *testing.T, program, line string) {
	t.Helper()
	for _, w := range a.want {
		require.Contains(t, line, w, program)
	}
	require.NotContains(t, line, secret)
}
