package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ai-backlog/ingest/integration/container"
)

// Process is one of our programs. One goroutine may end and start it while others watch it.
type Process struct {
	name, path, log string
	args, env       []string
	first           int // how much of env it had at first
	now             atomic.Pointer[life]
}

// life is what a process is from a start to its end.
type life struct {
	cmd   *exec.Cmd
	done  chan struct{}
	err   error       // of the wait, when done
	asked atomic.Bool // to end, by us
}

func (p *Process) start() error {
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	l := &life{cmd: exec.Command(p.path, p.args...), done: make(chan struct{})} //nolint:gosec,noctx // our own program, ended by Kill
	l.cmd.Env, l.cmd.Stdout, l.cmd.Stderr = p.env, f, f
	l.cmd.SysProcAttr = dieWithParent()
	started := make(chan error, 1)
	go func() { // the parent-death signal goes with the thread that started the child
		runtime.LockOSThread()
		err := l.cmd.Start()
		started <- err
		if err == nil {
			l.err = l.cmd.Wait()
		}
		_ = f.Close()
		close(l.done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.now.Store(l)
	return nil
}

// PID is the process's.
func (p *Process) PID() int { return p.now.Load().cmd.Process.Pid }

// Kill is SIGKILL; it returns when the process is gone.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop is SIGTERM; it returns when the process is gone.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

func (p *Process) end(sig os.Signal) {
	l := p.now.Load()
	l.asked.Store(true)
	_ = l.cmd.Process.Signal(sig)
	if sig == syscall.SIGKILL {
		_ = l.cmd.Process.Signal(syscall.SIGCONT)
	}
	<-l.done
}

// Freeze is SIGSTOP.
func (p *Process) Freeze() error { return p.now.Load().cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw is SIGCONT.
func (p *Process) Thaw() error { return p.now.Load().cmd.Process.Signal(syscall.SIGCONT) }

// Restart starts the same program again after its end.
func (p *Process) Restart() error {
	<-p.now.Load().done
	return p.start()
}

// Replace starts the program at the path in its place after its end, with env over what it had at first.
func (p *Process) Replace(path string, env ...string) error {
	<-p.now.Load().done
	p.path, p.env = path, append(p.env[:p.first:p.first], env...)
	return p.start()
}

// Path is the program's.
func (p *Process) Path() string { return p.path }

// Name is the program's with a number, as in the name of its log.
func (p *Process) Name() string { return p.name }

// Alive tells whether it still runs.
func (p *Process) Alive() bool { return p.now.Load().alive() }

func (l *life) alive() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// died is nil while it runs, after it was asked to end, and after it ended in success.
func (p *Process) died() error {
	l := p.now.Load()
	if l.alive() || l.asked.Load() || l.cmd.ProcessState.Success() {
		return nil
	}
	log := p.Log()
	return fmt.Errorf("%s ended by itself: %s\n%s", p.name, l.cmd.ProcessState, log[max(0, len(log)-2000):])
}

// Wait is the exit code, when it has ended by itself. An end that was waited for is no failure of the rig, whatever the code.
func (p *Process) Wait(ctx context.Context) (int, error) {
	l := p.now.Load()
	select {
	case <-ctx.Done():
		return -1, fmt.Errorf("%s still runs: %w", p.name, ctx.Err())
	case <-l.done:
		l.asked.Store(true)
	}
	var exit *exec.ExitError
	if l.err != nil && !errors.As(l.err, &exit) {
		return -1, l.err
	}
	return l.cmd.ProcessState.ExitCode(), nil
}

// Log is all that it has printed so far.
func (p *Process) Log() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

// programsDir is this process's own: another one may run programs of another version.
func programsDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("ai-backlog-programs-%d", os.Getpid()))
}

// Clean removes what the rigs of this process have built, and any container that is left; no rig is started after it.
func Clean() {
	_ = os.RemoveAll(programsDir())
	_ = container.Clean()
}

// building has one rig at a time look whether the programs are there.
var building sync.Mutex

// Build makes the programs of this tree once per process, each with the versions of its own module, and answers their folder.
func Build(ctx context.Context, log io.Writer) (string, error) {
	building.Lock()
	defer building.Unlock()
	root, err := Command(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ai-backlog/ingest")
	if err != nil {
		return "", fmt.Errorf("find the product's module: %w", err)
	}
	dir := programsDir()
	if _, err := os.Stat(filepath.Join(dir, "starter")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	agent := exec.CommandContext(ctx, "go", "build", "-o", dir+"/", "github.com/ai-backlog/ingest/integration/agent") //nolint:gosec // fixed arguments
	others := exec.CommandContext(ctx, "go", "build", "-o", dir+"/", "./consumer", "./worker", "./starter")           //nolint:gosec // fixed arguments
	others.Dir = root
	for _, cmd := range []*exec.Cmd{agent, others} {
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("build the programs: %w", err)
		}
	}
	return dir, nil
}
