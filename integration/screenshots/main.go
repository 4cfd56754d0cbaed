// Command screenshots takes the pictures that docs/operations.md shows, on servers
// and programs of its own, through a headless browser: of Temporal's UI, with
// batches that wait, are blocked and are held; of Prometheus's pages, with an outage
// and the alerts that it fires. Run it again when the UI or the words change.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// trouble is the saved filter of docs/operations.md.
const trouble = "IngestState in ('waiting','blocked','held') AND ExecutionStatus = 'Running'"

func main() {
	out := flag.String("out", filepath.Join("..", "docs", "images"), "directory of the pictures")
	only := flag.String("only", "", "temporal or prometheus: the pictures of one UI")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, *out, *only)
	rig.Clean()
	if err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1) //nolint:gocritic // the process ends: there is nothing for stop to release
	}
}

func run(ctx context.Context, out, only string) error {
	if _, err := findBrowser(); err != nil { // before anything is started
		return err
	}
	for name, take := range map[string]func(ctx context.Context, dir, out string) error{"temporal": listed, "prometheus": watched} {
		if only != "" && only != name {
			continue
		}
		dir, err := os.MkdirTemp("", "ai-backlog-screenshots-")
		if err != nil {
			return err
		}
		err = take(ctx, dir, out)
		_ = os.RemoveAll(dir)
		if err != nil {
			return fmt.Errorf("pictures of %s: %w", name, err)
		}
	}
	return nil
}

// listed takes pictures of Temporal's UI.
func listed(ctx context.Context, dir, out string) error {
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, UI: true, Env: []string{"BATCH_RECORDS=5000", "BATCH_LINGER=300ms"}})
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.Worker(); err != nil {
		return err
	}
	if _, err := r.Consumer(); err != nil {
		return err
	}
	s, err := makeTrouble(ctx, r)
	if err != nil {
		return err
	}
	return shoot(ctx, dir, "http://"+r.Temporal.HTTPAddr(), out, s)
}

// scene is what the pictures show.
type scene struct {
	blocked rig.Batch
	batches int
}

// causes are what each topic's batches come to grief over.
var causes = []struct {
	sql         []string
	mix         load.Mix
	sizes       []int // of the batches, in records, about
	state, name string
}{
	{[]string{"RENAME TABLE logs TO logs_away"}, load.Mix{}, []int{4811, 3207, 4950}, "blocked", "UNKNOWN_TABLE"},
	{nil, load.Mix{Metrics: 1, Broken: 0.8}, []int{4400, 2716}, "held", "TOO_MANY_DEAD_LETTERS"},
	{
		[]string{"SYSTEM STOP MERGES events", "ALTER TABLE events MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1"},
		load.Mix{Events: 1},
		[]int{1804, 1233},
		"waiting", "TOO_MANY_PARTS",
	},
}

func makeTrouble(ctx context.Context, r *rig.Rig) (s scene, err error) {
	var sent rig.Sent
	if err := r.Produce(ctx, load.New(1, load.Mix{Metrics: 0.3, Events: 0.3}), 5000, &sent, nil); err != nil {
		return s, err
	}
	if err := r.Drain(ctx, &sent); err != nil {
		return s, err
	}
	if err := r.Settled(ctx); err != nil {
		return s, err
	}
	for n, c := range causes {
		for _, sql := range c.sql {
			if err := r.DB.Exec(ctx, sql); err != nil {
				return s, fmt.Errorf("%s: %w", sql, err)
			}
		}
		for m, size := range c.sizes {
			if err := r.Produce(ctx, load.New(uint64(10*n+m), c.mix), size, &sent, nil); err != nil { //nolint:gosec // small numbers
				return s, err
			}
			s.batches++
			if err := inTrouble(ctx, r, s.batches); err != nil { // so that each is a batch of its own
				return s, err
			}
		}
		b, err := r.AwaitState(ctx, c.state, c.name)
		if err != nil {
			return s, err
		}
		if c.state == "blocked" {
			s.blocked = b
		}
	}
	return s, nil
}

// inTrouble waits until the UI's list will show so many batches.
func inTrouble(ctx context.Context, r *rig.Rig, n int) error {
	return r.Until(ctx, fmt.Sprintf("wait for %d batches in trouble", n), func(ctx context.Context) (bool, string) {
		all, err := r.Find(ctx, trouble)
		return len(all) >= n, fmt.Sprint(all, err)
	})
}

// shoot opens the browser and takes the pictures.
func shoot(ctx context.Context, dir, ui, out string, s scene) error {
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // pictures for everybody
		return err
	}
	ctx, end, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer end()
	if err := setUp(ctx, ui); err != nil {
		return err
	}
	workflows := ui + "/namespaces/default/workflows"
	shows := fmt.Sprintf("document.querySelectorAll('table tbody tr').length >= %d", s.batches)
	if err := take(ctx, workflows+"?query="+url.QueryEscape(trouble), shows, width, 650, filepath.Join(out, "batches.png")); err != nil {
		return err
	}
	page := workflows + "/" + url.PathEscape(s.blocked.ID) + "/" + s.blocked.Run + "/user-metadata"
	shows = "document.getElementById('user-metadata-current-details') !== null && document.querySelectorAll('iframe').length >= 2"
	return take(ctx, page, shows, wide, 880, filepath.Join(out, "blocked.png"))
}
