//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/creack/pty"
	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"
)

// script opens both listeners. After it the library sits at its prompt, on a terminal on which nobody types.
const script = "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP"

// library is the part of libchdb's C interface that is used.
type library struct {
	queryCmdline func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	resultError  func(result unsafe.Pointer) string
}

func load(path string) (library, error) {
	var l library
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return l, fmt.Errorf("load libchdb: %w", err)
	}
	for name, fn := range map[string]any{"chdb_query_cmdline": &l.queryCmdline, "chdb_result_error": &l.resultError} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return l, fmt.Errorf("%s is not the libchdb of npm: %w", path, err)
		}
		purego.RegisterFunc(fn, symbol)
	}
	return l, nil
}

// serve blocks while the server runs. It is nil only if the server was asked to end: the library prints its failures
// and returns as if all were well, so a return nobody asked for is a failure.
func serve(lib, config string) error {
	l, err := load(lib)
	if err != nil {
		return err
	}
	asked, err := tieToParent()
	if err != nil {
		return err
	}
	// --interactive because otherwise any exception on the thread of a connection ends the process: a client that is killed while
	// it waits for an answer, a login that fails. --config-file because a config.xml in the working directory would be read
	// unasked; --log-level because the one in the file is not heeded, and warnings come by the dozen in a second.
	result := l.run("clickhouse", "--config-file="+config, "--log-level=error", "--interactive", "--query", script,
		"--disable_suggestion", "--history_file="+os.DevNull)
	if result != nil {
		if text := l.resultError(result); text != "" {
			return errors.New(text)
		}
	}
	if !asked.Load() {
		return errors.New("the server ended by itself")
	}
	return nil
}

// tieToParent puts a terminal in the place of standard input, for the prompt to wait at, and hangs it up, once, on SIGTERM,
// SIGINT, or the end of the real standard input. The answer says whether that happened.
func tieToParent() (*atomic.Bool, error) {
	parent, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("keep standard input: %w", err)
	}
	keyboard, terminal, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	if err := unix.Dup2(int(terminal.Fd()), 0); err != nil {
		return nil, fmt.Errorf("replace standard input: %w", err)
	}
	if err := terminal.Close(); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	// A client that goes away raises SIGPIPE on a thread of the library, and Go's handler would end the process silently.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(uintptr(parent), "parent"))
		close(gone)
	}()
	var asked atomic.Bool
	go func() {
		select {
		case <-ends:
		case <-gone:
		}
		asked.Store(true)
		_ = keyboard.Close()
	}()
	return &asked, nil
}

// run calls chdb_query_cmdline; the arguments stay pinned until it returns.
func (l library) run(args ...string) unsafe.Pointer {
	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]*byte, 0, len(args)+1)
	for _, arg := range args {
		text := append([]byte(arg), 0)
		pin.Pin(&text[0])
		argv = append(argv, &text[0])
	}
	argv = append(argv, nil)
	pin.Pin(&argv[0])
	return l.queryCmdline(int32(len(args)), unsafe.Pointer(&argv[0])) //nolint:gosec // pinned above, for C to read
}
