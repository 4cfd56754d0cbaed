// Command licenses lists the modules that are linked into the programs, each with its licence, as docs/licenses.md. It ends with an
// error when one has none that can be told, or one that asks more of whoever passes the programs on than to name it.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	text, err := list(context.Background(), root)
	if err == nil {
		err = os.WriteFile(page, text, 0o644) //nolint:gosec // a page for everybody
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}
