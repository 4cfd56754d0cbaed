// Package monitor is what every program shows of itself: its log, and
// /metrics, /healthz and /readyz on one address.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Logger writes lines of key=value to standard error.
func Logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// Registry has Go's and the process's own metrics, and which build of which program it is.
func Registry(program, version, commit string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	Build(r, program, version, commit)
	return r
}

// Build tells which build of which program serves these metrics.
func Build(reg prometheus.Registerer, program, version, commit string) {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ingest_build_info", Help: "1; the labels say which build of which program this is."}, []string{"program", "version", "commit"})
	reg.MustRegister(g)
	g.WithLabelValues(program, version, commit).Set(1)
}

// Serve answers on addr until ctx ends; "off" serves nothing.
func Serve(ctx context.Context, addr string, reg *prometheus.Registry, ready func() error) error {
	if addr == "off" {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("METRICS_ADDR %s: %w: choose a free address, or off to serve no metrics", addr, err)
	}
	s := &http.Server{Handler: Handler(reg, ready), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			slog.Error("metrics server ended", "error", err)
		}
	}()
	slog.Info("metrics are served", "address", l.Addr().String())
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return nil
}

// Handler answers /metrics, /healthz and /readyz. Healthy is whoever answers; ready is who has no error to tell. Metrics are text,
// OpenMetrics or, with native histograms, protobuf: as the scraper asks.
func Handler(reg *prometheus.Registry, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg, EnableOpenMetrics: true}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	})
	return mux
}
