package integration

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// watch is a scene with an agent, under the eyes of a Prometheus.
type watch struct {
	*scene
	dir   string
	p     *rig.Prometheus
	rules []byte
	agent *rig.Process
}

// By how much the rules' times are divided. While all is well ten minutes are a minute: on a busy machine some things take seconds that
// take none elsewhere. In trouble they are twenty seconds. An audit is old after a day, or, at last, after two minutes.
var (
	inQuiet   = map[string]int{"ingest": 10, "ingest-audits": 96}
	inTrouble = map[string]int{"ingest": 30, "ingest-audits": 96}
	inTheEnd  = map[string]int{"ingest": 30, "ingest-audits": 720}
)

// newWatch is a stack on which records flow, and which was watched from when they did.
func newWatch(t *testing.T) *watch {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 18*time.Minute)
	t.Cleanup(cancel)
	dir := t.TempDir()
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, Env: []string{"BATCH_LINGER=300ms", "FALLBACK_AFTER=1s"}})
	require.NoError(t, err)
	w := &watch{scene: &scene{Rig: r, t: t, ctx: ctx}, dir: dir, rules: alertRules(t)}
	t.Cleanup(func() {
		r.Close()
		if t.Failed() && w.worker != nil {
			t.Logf("worker:\n%s\nconsumer:\n%s", tail(w.worker.Log()), tail(w.consumer.Log()))
		}
	})
	w.exec("SELECT 1", "SYSTEM FLUSH LOGS") // a new server makes its query log late
	targets := map[string][]string{}
	serve := func(program, job string, args ...string) *rig.Process {
		port, release, err := stack.ReservePort()
		require.NoError(t, err)
		t.Cleanup(release)
		addr := "127.0.0.1:" + strconv.Itoa(port)
		targets[job] = append(targets[job], addr)
		for i, a := range args {
			if a == "ADDR" {
				args[i] = addr
			}
		}
		p, err := r.Launch(program, []string{"METRICS_ADDR=" + addr}, args...)
		require.NoError(t, err)
		return p
	}
	w.worker = serve("worker", "ingest-worker")
	w.consumer = serve("consumer", "ingest-consumer")
	w.agent = serve("agent", "ingest-client", "-rate", "600", "-metrics", "ADDR")
	w.shows(w.consumer, "each topic is planned, and of each some is stored", func(m rig.Metrics) bool {
		for _, topic := range []string{load.Logs, load.Metrics, load.Events} {
			if m.Sum("ingest_completed_offsets_total", `topic="`+topic+`"`, `place="stored"`) == 0 {
				return false
			}
		}
		return m.Sum("ingest_planner") == 3
	})
	w.over(targets, inQuiet)
	started := time.Now()
	w.answers([]ask{{"consumer", "ingest_planner"}, {"worker", "ingest_clickhouse_up"}, {"client", "ingest_client_direct"}}, started, nil)
	w.calm("IngestAuditNotRun") // until each was asked, there was none
	return w
}

// alertRules are the alerts as they are deployed.
func alertRules(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../deploy/prometheus/alerts.yml")
	require.NoError(t, err)
	return text
}

// over starts the Prometheus.
func (w *watch) over(targets map[string][]string, by map[string]int) {
	w.t.Helper()
	text, err := rig.Shortened(w.rules, by)
	require.NoError(w.t, err)
	w.p, err = w.Prometheus(w.ctx, rig.PrometheusOptions{Rules: text, Targets: targets, Log: os.Stderr})
	require.NoError(w.t, err)
}

// shorten divides the rules' times from now on.
func (w *watch) shorten(by map[string]int) {
	w.t.Helper()
	text, err := rig.Shortened(w.rules, by)
	require.NoError(w.t, err)
	require.NoError(w.t, w.p.Reload(w.ctx, text))
}

// fired are the names of the alerts that fired since then.
func (w *watch) fired(since time.Time) []string {
	w.t.Helper()
	names, err := w.p.Fired(w.ctx, since)
	require.NoError(w.t, err)
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(w.standing(), name) })
}

// standing are alerts that are true of this machine, whatever the test does.
func (w *watch) standing() []string {
	w.t.Helper()
	var disk unix.Statfs_t
	require.NoError(w.t, unix.Statfs(w.dir, &disk))
	if float64(disk.Bavail) < 0.12*float64(disk.Blocks) {
		return []string{"IngestDiskFills"}
	}
	return nil
}

// fire waits until each of the alerts has fired since then.
func (w *watch) fire(since time.Time, alerts ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	require.NoError(w.t, w.Until(ctx, fmt.Sprintf("wait for %v", alerts), func(ctx context.Context) (bool, string) {
		names, err := w.p.Fired(ctx, since)
		missing := slices.DeleteFunc(slices.Clone(alerts), func(a string) bool { return slices.Contains(names, a) })
		return err == nil && len(missing) == 0, fmt.Sprint(missing, " did not, these did: ", names, err)
	}))
}

// calm waits until no alert fires or is pending, but for some.
func (w *watch) calm(but ...string) {
	w.t.Helper()
	but = append(but, w.standing()...)
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	require.NoError(w.t, w.Until(ctx, "wait until alerts end", func(ctx context.Context) (bool, string) {
		all, err := w.p.Alerts(ctx)
		all = slices.DeleteFunc(all, func(a rig.Alert) bool { return slices.Contains(but, a.Name()) })
		return err == nil && len(all) == 0, fmt.Sprint(all, err)
	}))
}
