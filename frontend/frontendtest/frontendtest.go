// Package frontendtest is for tests that need a real Temporal.
package frontendtest

import (
	"os"
	"testing"
)

// Env names the frontend. `make test` sets it.
const Env = "TEMPORAL_ADDRESS"

// Needed skips the test on a laptop where there is no Temporal, and fails it in
// CI.
func Needed(t testing.TB) {
	t.Helper()
	switch {
	case os.Getenv(Env) != "":
	case os.Getenv("CI") == "true":
		t.Fatal(Env + " is not set: in CI every test runs")
	default:
		t.Skip(Env + " is not set: run make test")
	}
}
