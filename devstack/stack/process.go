//go:build unix

package stack

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
)

// process is one run of a server.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer     // the child ends when this is closed, by us or by our death
	done  chan struct{} // closed when the child was waited for
	lock  io.Closer     // on the data; let go when the child is gone
	asked atomic.Bool   // to end, by us
}

// spawn starts the program with its output appended to the log. It owns the lock if it succeeds.
func spawn(program string, args []string, dir, log string, lock io.Closer) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // in the server's directory
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = out.Close() }()    // the child has its own
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // our own programs; their life is not a context's
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = dir, out, out, attributes()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe to child: %w", err)
	}
	p := &process{cmd: cmd, stdin: stdin, done: make(chan struct{}), lock: lock}
	started := make(chan error)
	go p.own(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return p, nil
}

// own starts the child and waits for it on one thread: the kernel takes the end of the starting thread for the parent's
// death, and Go ends a thread when the goroutine locked to it returns.
func (p *process) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = p.cmd.Wait() // ProcessState says how it ended
	_ = p.stdin.Close()
	_ = p.lock.Close()
	close(p.done)
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal does nothing to a child that has ended.
func (p *process) signal(sig syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := p.cmd.Process.Signal(sig); err != nil && p.alive() {
		return err
	}
	return nil
}
