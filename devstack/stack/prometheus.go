//go:build unix

package stack

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// PrometheusName is the name of a Prometheus, in Prepare: no part of a stack, since nothing of the ingest needs it.
const PrometheusName = "prometheus"

const (
	prometheusModule = "github.com/prometheus/prometheus"
	// prometheusTags leave the clients of two dozen clouds out, by which targets can be found, which is half of the build. Names in files and
	// in the DNS stay.
	prometheusTags = "remove_all_sd,enable_dns_sd"
)

//go:embed prometheus.sh
var runPrometheus string

// PrometheusOptions say how to run a Prometheus.
type PrometheusOptions struct {
	Binaries Binaries // from Prepare
	Dir      string   // data and log; the same directory means the same samples
	Config   string   // path of its prometheus.yml, which names targets and rules; it is read at each start
	Port     int      // of its API; 0: a free one, kept for the life of this process
	UI       string   // directory of its built pages; "": it has none, only its API
}

// Prometheus is one Prometheus, not yet started, on loopback.
func Prometheus(o PrometheusOptions) (*Server, error) {
	if o.Config == "" {
		return nil, errors.New("prometheus: Config is required")
	}
	config, err := seenFrom(o.Dir, o.Config)
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	s, err := newServer(PrometheusName, "/bin/sh", o.Dir, o.Port, nil, 0)
	if err != nil {
		return nil, err
	}
	if o.Binaries.Prometheus == "" {
		s.Release()
		return nil, errors.New("prometheus: Binaries of " + PrometheusName + " are required")
	}
	s.args = func() []string {
		return []string{
			"-c", runPrometheus, PrometheusName, o.UI, o.Binaries.Prometheus, "--config.file=" + config,
			"--storage.tsdb.path=data", "--web.listen-address=" + s.Addr(), "--web.enable-lifecycle", "--log.level=warn",
		}
	}
	s.ready = func(ctx context.Context) error { return AskPrometheus(ctx, s.Addr()) }
	return s, nil
}

// seenFrom is the path of a file as a process that works in the directory names it, which its pages then show.
func seenFrom(dir, file string) (string, error) {
	dir, e1 := filepath.Abs(dir)
	file, e2 := filepath.Abs(file)
	if err := errors.Join(e1, e2); err != nil {
		return "", err
	}
	return filepath.Rel(dir, file)
}

// AskPrometheus is nil if a Prometheus says that it is ready: it has read its data and its configuration.
func AskPrometheus(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return get(ctx, "http://"+addr+"/-/ready", "")
}

// prometheus answers the paths of Prometheus and promtool, built out of the module in the folder prometheus of these sources: their
// dependencies are no business of Temporal's and Kafka's.
func (b *Binaries) prometheus(ctx context.Context, log io.Writer, cache, src string) error {
	module := filepath.Join(src, PrometheusName)
	key, err := filesKey(filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum"))
	if err != nil {
		return fmt.Errorf("hash of %s: %w", module, err)
	}
	for _, p := range []struct {
		name string
		path *string
	}{{PrometheusName, &b.Prometheus}, {"promtool", &b.Promtool}} {
		*p.path = filepath.Join(cache, fmt.Sprintf("%s-%s-%s", p.name, prometheusTags, key))
		err := once(ctx, log, *p.path, func(draft string) error {
			say(log, "building %s (the first time some minutes)", p.name)
			started := time.Now()
			if err := build(ctx, log, module, draft, "-tags="+prometheusTags, prometheusModule+"/cmd/"+p.name); err != nil {
				return err
			}
			say(log, "built %s in %s", p.name, time.Since(started).Round(100*time.Millisecond))
			removeOlder(cache, p.name, *p.path)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
