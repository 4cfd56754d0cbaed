// Command grafana writes the dashboards of the ingest, as JSON that Grafana provisions, into the folder dashboards beside it:
//
//	go run ./grafana
//
// They are put together with Grafana's own types, so that what it would not understand does not compile. The queries are run against a
// Prometheus that watches a running stack, by integration/metrics_test.go.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// folder is where the dashboards are, from the module's root.
var folder = filepath.Join("grafana", "dashboards")

func main() {
	if err := write(folder); err != nil {
		fmt.Fprintln(os.Stderr, "grafana:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	files, err := files()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { //nolint:gosec // for everybody
			return err
		}
	}
	return nil
}

// files are all dashboards by the names of their files.
func files() (map[string][]byte, error) {
	all := map[string][]byte{}
	for name, page := range map[string]page{"flow": flow(), "batches": batches(), "clickhouse": clickhouse(), "client": client()} {
		built, err := page.build("ingest-" + name)
		if err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", name, err)
		}
		if all[name+".json"], err = text(built); err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", name, err)
		}
	}
	return all, nil
}

// text is a dashboard as its file has it.
func text(d board) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(d)
	return out.Bytes(), err
}
