package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"text/template"

	"github.com/ai-backlog/ingest/clickhouse"
)

// files are applied in the order of their numbers. A file that was released is
// never edited: a change is a new file. Each must be safe to run again, by IF
// NOT EXISTS and the like.
//
//go:embed migrations/*.sql
var files embed.FS

type migration struct {
	number uint32
	name   string
	sql    string
}

// migrations are the files for a database, one statement each.
func migrations(database string) ([]migration, error) {
	entries, err := fs.ReadDir(files, "migrations") // sorted by name
	if err != nil {
		return nil, err
	}
	out := make([]migration, 0, len(entries))
	for n, e := range entries {
		digits, name, _ := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		number, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || int(number) != n+1 {
			return nil, fmt.Errorf("migration %s: its number is not %d", e.Name(), n+1)
		}
		t, err := template.ParseFS(files, path.Join("migrations", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", e.Name(), err)
		}
		var sql strings.Builder
		if err := t.Execute(&sql, struct{ Database string }{clickhouse.Quote(database)}); err != nil {
			return nil, fmt.Errorf("migration %s: %w", e.Name(), err)
		}
		out = append(out, migration{number: uint32(number), name: name, sql: sql.String()})
	}
	return out, nil
}
