package main

import (
	"io"
	"os"
	"sync"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// barLines is how many lines are read between two looks at the bar: cheap even
// at a million lines a second.
const barLines = 512

// terminal is standard error: a progress bar when it is a terminal, and lines
// that do not run into the bar.
type terminal struct {
	mu   sync.Mutex
	w    io.Writer
	bar  *progressbar.ProgressBar // nil: not a terminal
	done int64                    // bytes of the files before this one
}

// newTerminal knows how far it is to the end when every file is a regular one.
func newTerminal(w io.Writer, files []string) *terminal {
	t := &terminal{w: w}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return t
	}
	var total int64
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			total = -1
			break
		}
		total += info.Size()
	}
	t.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("sending"), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(watchEvery))
	return t
}

// at shows how far the file was read.
func (t *terminal) at(l *lineReader) {
	if t.bar != nil && l.number%barLines == 0 {
		t.set(t.done + l.offset)
	}
}

// end counts the file as read.
func (t *terminal) end(l *lineReader) {
	t.done += l.offset
	if t.bar != nil {
		t.set(t.done)
	}
}

func (t *terminal) set(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.bar.Set64(n) // a bar that cannot be drawn is no reason to stop
}

// println writes a line above the bar.
func (t *terminal) println(s string) { _, _ = io.WriteString(t, s+"\n") }

// Write writes whole lines above the bar (io.Writer).
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		_ = t.bar.Clear()
	}
	return t.w.Write(p)
}

// clear takes the bar away.
func (t *terminal) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		_ = t.bar.Clear()
	}
}
