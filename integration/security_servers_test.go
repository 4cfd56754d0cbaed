package integration

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// sealed is a scene without programs whose other servers can be reached by TLS too, through gates. ClickHouse's library and the
// Temporal of these tests serve none by themselves.
type sealed struct {
	*scene
	ca, stranger *rig.Authority
	server, own  rig.Pair // the gates' certificate, and a client's
}

func newSealed(t *testing.T) *sealed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	dir, soon := t.TempDir(), time.Now().Add(12*time.Hour)
	file := filepath.Join(dir, "clickhouse", "users.d", "ingest.xml")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
	require.NoError(t, os.WriteFile(file, []byte(users), 0o600))
	s := &sealed{ca: authority(t, dir, "authority"), stranger: authority(t, dir, "stranger")}
	s.server, s.own = issue(t, s.ca, "server", soon, "127.0.0.1"), issue(t, s.ca, "own", soon)
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, Env: []string{"BATCH_LINGER=300ms"}})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	s.scene = &scene{Rig: r, t: t, ctx: ctx, gen: load.New(1, mix)}
	return s
}

// guard puts a gate before a server.
func guard(t *testing.T, seal func(string, rig.GateOptions) (*rig.Gate, error), to string, o rig.GateOptions) *rig.Gate {
	t.Helper()
	g, err := seal(to, o)
	require.NoError(t, err)
	t.Cleanup(g.Close)
	return g
}

// stored runs worker and consumer with the settings until every record has its place, and stops them.
func (s *sealed) storedBy(env []string) {
	s.t.Helper()
	var err error
	s.worker, err = s.Worker(env...)
	require.NoError(s.t, err)
	s.consumer, err = s.Consumer(env...)
	require.NoError(s.t, err)
	s.send(300)
	s.exact()
	s.worker.Stop()
	s.consumer.Stop()
}

// wrongServer is a wrong setting: what each line of the programs must have, and whether the server has answered.
type wrongServer struct {
	env   []string
	final bool
	want  string
}

// complains requires that the programs say so, in one line or two where a connection ends in more than one way, and then wait, or end.
func (s *sealed) complains(t *testing.T, c wrongServer, services []string, starter ...string) {
	t.Helper()
	s.t = t
	ctx, cancel := context.WithTimeout(s.ctx, 90*time.Second)
	defer cancel()
	hand, err := s.Launch("starter", c.env, starter...)
	require.NoError(t, err)
	running := map[*rig.Process]bool{hand: true}
	for _, name := range services {
		p, err := s.Launch(name, c.env)
		require.NoError(t, err)
		running[p] = c.final
	}
	for p, ends := range running {
		if ends {
			code, err := p.Wait(ctx)
			require.NoError(t, err, p.Log())
			require.Positive(t, code, p.Log())
			require.Len(t, complaints(p.Log()), 1, p.Log())
		} else {
			said(t, p, "waiting")
			require.True(t, p.Alive(), p.Log())
			require.LessOrEqual(t, len(complaints(p.Log())), 3, p.Log())
		}
		for _, line := range complaints(p.Log()) {
			require.Contains(t, line, c.want)
		}
		require.NotContains(t, p.Log(), secret)
		p.Kill()
	}
}

func TestEachRightWayIntoClickHouseStoresEveryRecordAndEachWrongOneNamesItsSetting(t *testing.T) {
	t.Parallel()
	s := newSealed(t)
	expired := issue(t, s.ca, "expired", time.Now().Add(-time.Hour), "127.0.0.1")
	_, port, err := net.SplitHostPort(guard(t, rig.SealTCP, s.ClickHouse.Addr(), rig.GateOptions{Pair: s.server}).Addr)
	require.NoError(t, err)
	_, old, err := net.SplitHostPort(guard(t, rig.SealTCP, s.ClickHouse.Addr(), rig.GateOptions{Pair: expired}).Addr)
	require.NoError(t, err)
	_, http, err := net.SplitHostPort(s.ClickHouse.HTTPAddr())
	require.NoError(t, err)
	login := []string{"CLICKHOUSE_USER=ingest", "CLICKHOUSE_PASSWORD=" + secret}
	by := func(env ...string) []string {
		return append(append([]string{"CLICKHOUSE_PORT=" + port, "CLICKHOUSE_SECURE=true", "CLICKHOUSE_CA_LOCATION=" + s.ca.File}, login...), env...)
	}
	for name, env := range map[string][]string{"a password": login, "TLS": by()} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.storedBy(env)
		})
	}
	s.t = t
	s.send(300) // while nobody is there to store them
	for name, c := range map[string]wrongServer{
		"a wrong password":                    {by("CLICKHOUSE_PASSWORD=wrong"), true, "check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"},
		"a user that is not":                  {by("CLICKHOUSE_USER=nobody"), true, "check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"},
		"an authority that did not sign":      {by("CLICKHOUSE_CA_LOCATION=" + s.stranger.File), false, "set CLICKHOUSE_CA_LOCATION"},
		"no authority of one's own":           {by("CLICKHOUSE_CA_LOCATION="), false, "set CLICKHOUSE_CA_LOCATION"},
		"a certificate that is over":          {by("CLICKHOUSE_PORT=" + old), false, "renew the certificate of the server that CLICKHOUSE_HOST names"},
		"a certificate for another host":      {by("CLICKHOUSE_HOST=localhost"), false, "name the server in CLICKHOUSE_HOST as its certificate does"},
		"no TLS where there is TLS":           {by("CLICKHOUSE_SECURE=false", "CLICKHOUSE_CA_LOCATION="), false, "check CLICKHOUSE_SECURE"},
		"TLS where there is none":             {[]string{"CLICKHOUSE_SECURE=true"}, false, "check CLICKHOUSE_SECURE"},
		"the port of another protocol":        {[]string{"CLICKHOUSE_PORT=" + http}, false, "check CLICKHOUSE_PORT"},
		"an authority, and TLS not asked for": {by("CLICKHOUSE_SECURE=false"), true, "set CLICKHOUSE_SECURE=true"},
	} {
		t.Run(name, func(t *testing.T) { s.complains(t, c, []string{"worker"}, "deadletters", "list") })
	}
	s.t = t
	s.storedBy(by())
}

func TestEachRightWayIntoTemporalStoresEveryRecordAndEachWrongOneNamesItsSetting(t *testing.T) {
	t.Parallel()
	s := newSealed(t)
	keyed := guard(t, rig.SealTemporal, s.Temporal.Addr(), rig.GateOptions{Pair: s.server, Key: secret})
	mutual := guard(t, rig.SealTemporal, s.Temporal.Addr(), rig.GateOptions{Pair: s.server, Clients: s.ca})
	by := func(g *rig.Gate, env ...string) []string {
		return append([]string{"TEMPORAL_ADDRESS=" + g.Addr, "TEMPORAL_TLS=true", "TEMPORAL_TLS_SERVER_CA_CERT_PATH=" + s.ca.File}, env...)
	}
	key := "TEMPORAL_API_KEY=" + secret
	own := []string{"TEMPORAL_TLS_CLIENT_CERT_PATH=" + s.own.Cert, "TEMPORAL_TLS_CLIENT_KEY_PATH=" + s.own.Key}
	for name, env := range map[string][]string{"TLS and a key": by(keyed, key), "both certified": by(mutual, own...)} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.storedBy(env)
			p, err := s.Launch("starter", env, "batches")
			require.NoError(t, err)
			code, err := p.Wait(s.ctx)
			require.NoError(t, err)
			require.Zero(t, code, p.Log())
		})
	}
	s.t = t
	s.send(300) // while nobody is there to plan them
	const refused = "check TEMPORAL_API_KEY"
	for name, c := range map[string]wrongServer{
		"no key":                                {by(keyed), true, refused},
		"a wrong key":                           {by(keyed, "TEMPORAL_API_KEY=wrong"), true, refused},
		"no certificate where one is asked for": {by(mutual), false, "TEMPORAL_TLS_CLIENT_CERT_PATH"},
		"no TLS where there is TLS":             {[]string{"TEMPORAL_ADDRESS=" + keyed.Addr}, false, "check TEMPORAL_TLS"},
		"TLS where there is none":               {[]string{"TEMPORAL_TLS=true"}, false, "check TEMPORAL_TLS"},
		"an authority that did not sign":        {by(keyed, key, "TEMPORAL_TLS_SERVER_CA_CERT_PATH="+s.stranger.File), false, "set TEMPORAL_TLS_SERVER_CA_CERT_PATH"},
	} {
		t.Run(name, func(t *testing.T) { s.complains(t, c, []string{"worker", "consumer"}, "batches") })
	}
	t.Run("a key that is replaced while all goes well", func(t *testing.T) {
		s.t = t
		var err error
		s.worker, err = s.Worker(by(keyed, key)...)
		require.NoError(t, err)
		s.consumer, err = s.Consumer(by(keyed, key)...)
		require.NoError(t, err)
		s.exact()
		keyed.Key("another")
		s.send(300)
		said(t, s.consumer, refused)
		s.worker.Stop()
		s.consumer.Stop()
		s.storedBy(by(keyed, "TEMPORAL_API_KEY=another"))
	})
}
