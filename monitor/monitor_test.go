package monitor

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"
)

// ask is the answer to a request for a kind of text.
func ask(t *testing.T, url, accept string) (status int, kind, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	all, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, answer.Header.Get("Content-Type"), string(all)
}

func TestMetricsAreServedAsTheScraperAsks(t *testing.T) {
	reg := Registry("x", "v1", "c")
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x_seconds", Help: "X.", Buckets: []float64{1}, NativeHistogramBucketFactor: 1.1})
	reg.MustRegister(h)
	h.Observe(3)
	s := httptest.NewServer(Handler(reg, func() error { return nil }))
	t.Cleanup(s.Close)

	_, kind, body := ask(t, s.URL+"/metrics", "")
	require.Contains(t, kind, "text/plain")
	require.Contains(t, body, `ingest_build_info{commit="c",program="x",version="v1"} 1`)
	require.Contains(t, body, `x_seconds_bucket{le="+Inf"} 1`, "who knows no native histograms has buckets")

	_, kind, body = ask(t, s.URL+"/metrics", "application/openmetrics-text;version=1.0.0")
	require.Contains(t, kind, "application/openmetrics-text")
	require.Contains(t, body, "# EOF")

	_, kind, body = ask(t, s.URL+"/metrics", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	require.Contains(t, kind, "application/vnd.google.protobuf")
	require.NotZero(t, nativeBuckets(t, body, "x_seconds"))
}

// nativeBuckets is how many spans of native buckets a histogram has.
func nativeBuckets(t *testing.T, protobuf, name string) int {
	t.Helper()
	d := expfmt.NewDecoder(strings.NewReader(protobuf), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var f dto.MetricFamily
		if err := d.Decode(&f); err != nil {
			require.ErrorIs(t, err, io.EOF)
			return 0
		}
		if f.GetName() == name {
			return len(f.GetMetric()[0].GetHistogram().GetPositiveSpan())
		}
	}
}

func TestReadyIsWhoHasNoErrorToTell(t *testing.T) {
	err := errors.New("not connected to everything yet")
	s := httptest.NewServer(Handler(Registry("x", "v1", "c"), func() error { return err }))
	t.Cleanup(s.Close)
	status, _, body := ask(t, s.URL+"/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, err.Error())
	status, _, _ = ask(t, s.URL+"/healthz", "")
	require.Equal(t, http.StatusOK, status)
	err = nil
	status, _, _ = ask(t, s.URL+"/readyz", "")
	require.Equal(t, http.StatusOK, status)
}
