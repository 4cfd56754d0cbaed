package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// found is a lookup that knows these hosts.
func found(hosts map[string][]string) lookup {
	return func(_ context.Context, _, host string) (all []netip.Addr, err error) {
		addresses, ok := hosts[host]
		if !ok {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		for _, a := range addresses {
			all = append(all, netip.MustParseAddr(a))
		}
		return all, nil
	}
}

func TestANameIsAskedAtAllAddressesThatItHas(t *testing.T) {
	ask := found(map[string][]string{
		"pods": {"10.0.0.1", "10.0.0.2"}, "one": {"10.0.0.3"}, "localhost": {"::1", "127.0.0.1"},
		"both": {"10.0.0.4", "fd00::4", "::ffff:10.0.0.5", "fd00::5"}, "new": {"fd00::6", "fd00::7"},
	})
	for name, want := range map[string][]string{
		"pods:9464":      {"10.0.0.1:9464", "10.0.0.2:9464"},
		"one:9464":       {"one:9464"},
		"localhost:9464": {"localhost:9464"}, // one program, whichever of them it listens at
		"both:9464":      {"10.0.0.4:9464", "10.0.0.5:9464"},
		"new:9464":       {"[fd00::6]:9464", "[fd00::7]:9464"},
		"nowhere:9464":   {"nowhere:9464"}, // which does not answer, and is named
	} {
		require.Equal(t, want, everywhere(t.Context(), ask, []string{name}), name)
	}
	require.Equal(t, []string{"10.0.0.1:1", "10.0.0.2:1"}, everywhere(t.Context(), ask, []string{"pods:1", "10.0.0.2:1", "pods:1"}), "each once")
}

// Two consumers behind a headless Service have one name, and one of them plans.
func TestAllConsumersOfANameAreAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has 127.0.0.2 without being told")
	}
	serve := func(at, text string) string {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", at)
		require.NoError(t, err)
		s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) })}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close() })
		return l.Addr().String()
	}
	planner := serve("127.0.0.2:0", fmt.Sprintf(planning, 1, 1000))
	_, port, err := net.SplitHostPort(planner)
	require.NoError(t, err)
	serve("127.0.0.1:"+port, "# TYPE ingest_planner gauge\ningest_planner{topic=\"logs\"} 0\n")
	w := &watching{topics: []string{"logs"}, metrics: []string{"consumers:" + port}, lookup: found(map[string][]string{"consumers": {"127.0.0.1", "127.0.0.2"}})}
	w.read(t.Context())
	w.read(t.Context())
	o := w.together(overview{At: time.Now(), Workers: []string{"1@a"}}, nil, nil)
	require.Equal(t, flowing, o.Verdict, o.Unknown)
	require.Equal(t, []string{planner}, o.Topics[0].Planners)
	require.EqualValues(t, 42, *o.Topics[0].Lag)
}
