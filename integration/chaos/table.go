package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ai-backlog/ingest/integration/rig"
)

// row is what became of the records of one fault, or of the mixture.
type row struct {
	name         string
	records      int64 // acknowledged
	injected     int
	books        rig.Books
	lost         int64
	stall, drain time.Duration
}

var columns = []string{"fault", "records", "injected", "stored", "dead-lettered", "duplicates", "lost", "longest stall", "time to drain"}

func (r row) cells() []string {
	return []string{
		r.name, fmt.Sprint(r.records), fmt.Sprint(r.injected), fmt.Sprint(r.books.Stored), fmt.Sprint(r.books.Dead),
		fmt.Sprint(r.books.Duplicates + r.books.Both), fmt.Sprint(r.lost), seconds(r.stall), seconds(r.drain),
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// total is the sum of all rows, and the worst of each time.
func total(rows []row) row {
	t := row{name: "all"}
	for _, r := range rows {
		t.records += r.records
		t.injected += r.injected
		t.lost += r.lost
		t.books.Stored += r.books.Stored
		t.books.Dead += r.books.Dead
		t.books.Duplicates += r.books.Duplicates
		t.books.Both += r.books.Both
		t.stall, t.drain = max(t.stall, r.stall), max(t.drain, r.drain)
	}
	return t
}

// show prints the table for a terminal, and writes it as Markdown.
func (c *Config) show(header string, rows []row) error {
	rows = append(rows, total(rows))
	var md bytes.Buffer
	w := tabwriter.NewWriter(c.table, 0, 4, 2, ' ', 0)
	fmt.Fprintf(&md, "%s\n\n| %s |\n|---%s|\n", header, strings.Join(columns, " | "), strings.Repeat("|--:", len(columns)-1))
	fmt.Fprintf(c.table, "%s\n\n", header)
	_, _ = fmt.Fprintln(w, strings.Join(columns, "\t"))
	for _, r := range rows {
		_, _ = fmt.Fprintln(w, strings.Join(r.cells(), "\t"))
		fmt.Fprintf(&md, "| %s |\n", strings.Join(r.cells(), " | "))
	}
	if err := w.Flush(); err != nil || c.Out == "" {
		return err
	}
	return os.WriteFile(c.Out, md.Bytes(), 0o600)
}
