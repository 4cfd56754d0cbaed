package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ai-backlog/ingest/integration/rig"
)

// sample is what was seen at one moment. A value that could not be had, since a
// fault was on, is missing.
type sample struct {
	at     time.Duration // since the beginning
	values map[string]float64
}

// The series that are sampled; those of a program have its name before them.
const (
	memory     = "memory MiB"
	goroutines = "goroutines"
	files      = "open files"
	database   = "temporal database MiB"
	parts      = "clickhouse active parts"
	waiting    = "records waiting"
)

// watched is a program or server to look at, by its process ID at the moment, and
// where it shows its metrics, if it does.
type watched struct {
	name    string
	pid     func() int
	metrics string
}

type sampler struct {
	rig      *rig.Rig
	sent     *rig.Sent
	watched  []watched
	database string // Temporal's files
}

func (s sampler) take(ctx context.Context, at time.Duration) sample {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out := sample{at: at, values: map[string]float64{}}
	put := func(name string, v float64, err error) {
		if err == nil {
			out.values[name] = v
		}
	}
	for _, w := range s.watched {
		pid := w.pid()
		if pid == 0 {
			continue
		}
		v, err := resident(pid)
		put(w.name+" "+memory, v, err)
		v, err = openFiles(pid)
		put(w.name+" "+files, v, err)
		if w.metrics != "" {
			v, err = running(ctx, w.metrics)
			put(w.name+" "+goroutines, v, err)
		}
	}
	v, err := size(s.database)
	put(database, v, err)
	var n, rows uint64
	err = s.rig.DB.QueryRow(ctx, "SELECT count() FROM system.parts WHERE active AND database = currentDatabase()").Scan(&n)
	put(parts, float64(n), err)
	err = s.rig.DB.QueryRow(ctx, "SELECT sum(total_rows) FROM system.tables WHERE database = currentDatabase() AND name IN ('logs', 'metrics', 'events', 'dead_letters')").Scan(&rows)
	put(waiting, float64(s.sent.Good.Load()+s.sent.Broken.Load())-float64(rows), err)
	return out
}

// resident is the memory of a process in MiB.
func resident(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b))
	if len(f) < 2 || f[1] == "0" {
		return 0, fmt.Errorf("process %d is gone", pid)
	}
	pages, err := strconv.ParseFloat(f[1], 64)
	return pages * float64(os.Getpagesize()) / (1 << 20), err
}

func openFiles(pid int) (float64, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return float64(len(list)), err
}

// running is the number of goroutines that a program tells.
func running(ctx context.Context, addr string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req) //nolint:gosec // our own program on loopback
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, errors.Join(fmt.Errorf("%s shows no go_goroutines", addr), lines.Err())
}

// size is that of all files that match, in MiB.
func size(pattern string) (float64, error) {
	names, err := filepath.Glob(pattern)
	var sum int64
	for _, n := range names {
		info, err := os.Stat(n)
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return float64(sum) / (1 << 20), err
}
