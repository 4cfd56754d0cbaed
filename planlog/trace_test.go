package planlog

import (
	"os"
	"testing"
)

// TestTrace prints the whole history of PLANLOG_TRACE=<seed>.
func TestTrace(t *testing.T) {
	if os.Getenv("PLANLOG_TRACE") == "" {
		t.Skip("PLANLOG_TRACE names no history")
	}
	t.Setenv("PLANLOG_SEED", os.Getenv("PLANLOG_TRACE"))
	s := seed(t)
	msg, w := simulate(s, opts{}, 40+int(s%8)*60)
	for _, l := range w.trace {
		t.Log(l)
	}
	t.Log(msg)
}
