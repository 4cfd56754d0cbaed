package record

import (
	"embed"
	"fmt"
)

//go:embed schema/*.json
var schemas embed.FS

// Schema is the kind's JSON Schema (draft 2020-12). A text is a record of the
// kind exactly if it is strict JSON, as the package's documentation says, and
// the schema accepts it.
func Schema(kind Kind) ([]byte, error) {
	b, err := schemas.ReadFile("schema/" + kind.String() + ".json")
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", kind, err)
	}
	return b, nil
}
