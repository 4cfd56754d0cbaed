//go:build unix

package stack_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// watching is a Prometheus that asks the address every 100 ms.
func watching(t *testing.T, target string) *stack.Server {
	t.Helper()
	b, err := stack.Prepare(t.Context(), os.Stderr, stack.PrometheusName)
	require.NoError(t, err)
	require.FileExists(t, b.Promtool)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 100ms}\nscrape_configs: [{job_name: it, static_configs: [{targets: [%q]}]}]\n", target)
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	s, err := stack.Prometheus(stack.PrometheusOptions{Binaries: b, Dir: filepath.Join(dir, "data"), Config: config})
	return running(t, s, err)
}

// instant is Prometheus's answer to a query, as JSON.
func instant(t *testing.T, s *stack.Server, query string) string {
	t.Helper()
	answer, err := http.Get("http://" + s.Addr() + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(body)
}

func TestPrometheusScrapesAndKeepsItsSamplesOverSIGKILL(t *testing.T) {
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "answer 42") }))
	t.Cleanup(metrics.Close)
	address := strings.TrimPrefix(metrics.URL, "http://")
	s := watching(t, address)
	eventually(t, "a sample", func() bool { return strings.Contains(instant(t, s, "answer"), `"42"`) })
	metrics.Close()
	eventually(t, "its end", func() bool { return strings.Contains(instant(t, s, "up"), `"0"`) })
	replaced(t, s)
	eventually(t, "an answer", func() bool { return strings.Contains(instant(t, s, "max_over_time(answer[5m])"), `"42"`) })
	host, _, err := net.SplitHostPort(s.Addr())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
}

func TestPrometheusEndsWhenItsInputDoes(t *testing.T) {
	s := watching(t, "127.0.0.1:1")
	require.Equal(t, "exit status 0", s.EndInput())
}

func TestAPrometheusWithoutAConfigurationIsRefused(t *testing.T) {
	_, err := stack.Prometheus(stack.PrometheusOptions{Binaries: stack.Binaries{Prometheus: "/bin/true"}, Dir: t.TempDir()})
	require.ErrorContains(t, err, "Config is required")
}
