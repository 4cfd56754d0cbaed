package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"text/template"
)

// files are applied in the order of their numbers. What a file that was released
// does is never changed: a change is a new file, and the golden ones in testdata
// tell. Each must be safe to run again, by IF NOT EXISTS and the like.
//
//go:embed migrations/*.sql
var files embed.FS

type migration struct {
	number uint32
	name   string
	sql    string
}

// migrations are the files for where the tables live, one statement each.
func migrations(at layout) ([]migration, error) {
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
		if err := t.Execute(&sql, at); err != nil {
			return nil, fmt.Errorf("migration %s: %w", e.Name(), err)
		}
		out = append(out, migration{number: uint32(number), name: name, sql: sql.String()})
	}
	return out, nil
}
