package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// guarded is a scene without programs whose Kafka asks who one is: one broker, with a listener for each way to be asked.
type guarded struct {
	*scene
	ca, stranger *rig.Authority // who signed the broker's certificates, and somebody else
	agent        rig.Pair       // a client's certificate, of CN=agent
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	apacheNeeded(t)
	in, err := rig.Containers()
	require.NoError(t, err)
	if in {
		t.Skip("a broker in a container has its plain listener only")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	t.Cleanup(cancel)
	dir, soon := t.TempDir(), time.Now().Add(12*time.Hour)
	g := &guarded{ca: authority(t, dir, "authority"), stranger: authority(t, dir, "stranger")}
	broker := issue(t, g.ca, "broker", soon, "127.0.0.1", "localhost")
	expired := issue(t, g.ca, "expired", time.Now().Add(-time.Hour), "127.0.0.1", "localhost")
	elsewhere := issue(t, g.ca, "elsewhere", soon, "kafka.example.com")
	g.agent = issue(t, g.ca, "agent", soon)
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, Env: []string{"BATCH_LINGER=300ms"}, Secure: &stack.Security{
		ACLs: true, Users: map[string]string{"ingest": secret, "planner": secret, "storer": secret, "sender": secret},
		Listeners: []stack.Listener{
			{Name: "SSL", Protocol: "SSL", Keystore: broker.Store},
			{Name: "MUTUAL", Protocol: "SSL", Keystore: broker.Store, Truststore: g.ca.File},
			{Name: "EXPIRED", Protocol: "SSL", Keystore: expired.Store},
			{Name: "ELSEWHERE", Protocol: "SSL", Keystore: elsewhere.Store},
			{Name: "SASL_PLAINTEXT", Protocol: "SASL_PLAINTEXT"},
			{Name: "SASL_SSL", Protocol: "SASL_SSL", Keystore: broker.Store},
			{Name: "SCRAM", Protocol: "SASL_PLAINTEXT", Mechanisms: []string{"SCRAM-SHA-256"}},
		},
	}})
	require.NoError(t, err)
	g.scene = &scene{Rig: r, t: t, ctx: ctx, gen: load.New(1, mix)}
	t.Cleanup(func() {
		r.Close()
		if t.Failed() && g.worker != nil {
			t.Logf("worker:\n%s", tail(g.worker.Log()))
			t.Logf("consumer:\n%s", tail(g.consumer.Log()))
		}
	})
	return g
}

func authority(t *testing.T, dir, name string) *rig.Authority {
	t.Helper()
	a, err := rig.NewAuthority(dir, name)
	require.NoError(t, err)
	return a
}

func issue(t *testing.T, a *rig.Authority, name string, until time.Time, hosts ...string) rig.Pair {
	t.Helper()
	p, err := a.Issue(name, until, hosts...)
	require.NoError(t, err)
	return p
}

// way is how a program comes to Kafka, or tries to.
type way []string

// by is the way through a listener; without one it is the plain one.
func (g *guarded) by(listener, protocol string, env ...string) way {
	w := way{"KAFKA_SECURITY_PROTOCOL=" + protocol, "KAFKA_SSL_CA_LOCATION=" + g.ca.File}
	if listener != "" {
		w = append(w, "KAFKA_SERVERS="+g.ListenerAddr(listener))
	}
	return append(w, env...)
}

// as is a login.
func as(user, mechanism, password string) []string {
	return []string{"KAFKA_SASL_USERNAME=" + user, "KAFKA_SASL_MECHANISMS=" + mechanism, "KAFKA_SASL_PASSWORD=" + password}
}

// certified shows the client's certificate.
func (g *guarded) certified() []string {
	return []string{"KAFKA_SSL_CERTIFICATE_LOCATION=" + g.agent.Cert, "KAFKA_SSL_KEY_LOCATION=" + g.agent.Key}
}

// ways are all that are right, for the user ingest and for the certificate.
func (g *guarded) ways() map[string]way {
	all := map[string]way{
		"PLAINTEXT":           g.by("", "PLAINTEXT"),
		"SSL":                 g.by("SSL", "SSL"),
		"SSL, both certified": g.by("MUTUAL", "SSL", g.certified()...),
	}
	for _, protocol := range []string{"SASL_PLAINTEXT", "SASL_SSL"} {
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			all[protocol+" "+mechanism] = g.by(protocol, protocol, as("ingest", mechanism, secret)...)
		}
	}
	return all
}

// scram makes the user for both mechanisms of SCRAM.
func (g *guarded) scram(user string) {
	g.t.Helper()
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		r, err := kadm.NewClient(g.Client).AlterUserSCRAMs(g.ctx, nil, []kadm.UpsertSCRAM{{User: user, Mechanism: m, Iterations: 4096, Password: secret}})
		require.NoError(g.t, err)
		require.NoError(g.t, r.Error())
	}
}

// right is one line of the tables of rights in docs/operations.md.
type right struct {
	group     bool // the resource is the group, else topics
	topics    []string
	operation kadm.ACLOperation
}

// acl is the right as Kafka has it.
func (r right) acl(user string) *kadm.ACLBuilder {
	b := kadm.NewACLs().ResourcePatternType(kadm.ACLPatternLiteral).Operations(r.operation).Allow("User:" + user).AllowHosts("*")
	if r.group {
		return b.Groups(rig.Group)
	}
	return b.Topics(r.topics...)
}

func (g *guarded) grant(user string, rights ...right) {
	g.t.Helper()
	for _, r := range rights {
		done, err := kadm.NewClient(g.Client).CreateACLs(g.ctx, r.acl(user))
		require.NoError(g.t, err)
		for _, d := range done {
			require.NoError(g.t, d.Err)
		}
	}
}

// revoke takes one right back.
func (g *guarded) revoke(user string, r right) {
	g.t.Helper()
	done, err := kadm.NewClient(g.Client).DeleteACLs(g.ctx, r.acl(user))
	require.NoError(g.t, err)
	for _, d := range done {
		require.NoError(g.t, d.Err)
		require.Len(g.t, d.Deleted, 1)
	}
}

// letterTopics are where copies of dead letters go.
func letterTopics() []string {
	var out []string
	for _, t := range topics {
		out = append(out, t+".dlq")
	}
	return out
}

// documented are the rights that docs/operations.md names for all programs together.
func documented() []right {
	return []right{
		{topics: topics, operation: kadm.OpRead},
		{topics: topics, operation: kadm.OpWrite},
		{topics: topics, operation: kadm.OpDescribeConfigs},
		{topics: letterTopics(), operation: kadm.OpWrite},
		{topics: letterTopics(), operation: kadm.OpCreate},
		{group: true, operation: kadm.OpRead},
	}
}

// ndjson is a file of good logs and one that is broken.
func ndjson(t *testing.T, good int) string {
	t.Helper()
	text := strings.Repeat(`{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"step 3 of the plan"}`+"\n", good) + "{\"timestamp\":\n"
	file := filepath.Join(t.TempDir(), "logs.ndjson")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// sendBy sends by the starter, which has to succeed.
func (g *guarded) sendBy(w way, good int) {
	g.t.Helper()
	p, err := g.Launch("starter", w, "send", "--ndjson", ndjson(g.t, good))
	require.NoError(g.t, err)
	code, err := p.Wait(g.ctx)
	require.NoError(g.t, err)
	require.Zero(g.t, code, p.Log())
	g.sent.Good.Add(int64(good))
	g.sent.Broken.Add(1)
}

// programs starts the worker and the consumer, each by its way.
func (g *guarded) programs(worker, consumer way) {
	g.t.Helper()
	var err error
	g.worker, err = g.Launch("worker", worker)
	require.NoError(g.t, err)
	g.consumer, err = g.Launch("consumer", consumer)
	require.NoError(g.t, err)
}
