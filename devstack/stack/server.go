//go:build unix

package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startWithin bounds the wait for a server that started and does not answer. They need 0.2 to 2 s; a machine that runs
// everything at once, with the race detector, needs many times that.
const startWithin = 90 * time.Second

// stopWithin bounds the wait for a server that was asked to end, before it is killed.
const stopWithin = 20 * time.Second

// Server is one server as a child process. Its ports and data are its own from the constructor on, through any number of
// starts and kills. All methods may be called at any time by several goroutines.
type Server struct {
	name    string
	program string
	args    func() []string // called at each start
	dir     string
	port    reservation
	http    reservation   // zero for Kafka
	fixed   reservation   // a port that only servers of its kind use, which knows no other; zero but for Apache Kafka
	spare   []reservation // ports that only the server itself uses; they may differ from start to start
	ready   func(ctx context.Context) error

	mu   sync.Mutex
	proc *process // nil before the first start

	listeners map[string]reservation // by name; of Apache Kafka
}

// Name is clickhouse, temporal or kafka.
func (s *Server) Name() string { return s.name }

// Addr is host:port of ClickHouse's native protocol, Temporal's frontend, or the Kafka broker. It never changes.
func (s *Server) Addr() string { return loopback(s.port.port) }

// HTTPAddr is host:port of ClickHouse's HTTP interface or Temporal's UI; it is empty for Kafka.
func (s *Server) HTTPAddr() string {
	if s.http.port == 0 {
		return ""
	}
	return loopback(s.http.port)
}

// Dir is the directory of the data and the log.
func (s *Server) Dir() string { return s.dir }

// Log is the file that everything the server printed is appended to, over all its starts.
func (s *Server) Log() string { return filepath.Join(s.dir, s.name+".log") }

// PID is that of the running process, or 0.
func (s *Server) PID() int {
	if p := s.process(); p != nil && p.alive() {
		return p.cmd.Process.Pid
	}
	return 0
}

// Exited is closed when the process that runs now has ended, for whatever reason. It is closed already if none runs.
func (s *Server) Exited() <-chan struct{} {
	if p := s.process(); p != nil {
		return p.done
	}
	ended := make(chan struct{})
	close(ended)
	return ended
}

// Died is nil while the server runs, and after Kill or Stop. After an end that nobody asked for it says how it ended, with the
// end of its log.
func (s *Server) Died() error {
	p := s.process()
	if p == nil || p.alive() || p.asked.Load() {
		return nil
	}
	return fmt.Errorf("%s ended by itself: %s\n%s", s.name, p.cmd.ProcessState, s.tail())
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// errEnded is that the process ended before it answered.
var errEnded = errors.New("it ended before it answered")

// startAttempts are for a server with ports of its own choice, when somebody who does not use this package took one of them
// after it was found free.
const startAttempts = 3

// Start returns when the server answers its own protocol. The context bounds the wait only; the server lives on until it is
// stopped or this process ends. If the server does not come up it is killed, and the error has the end of its log.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for attempt := 1; ; attempt++ {
		p, err := s.launch()
		if err != nil {
			return fmt.Errorf("start %s on %s: %w", s.name, s.Addr(), err)
		}
		err = s.await(ctx, p)
		if err == nil {
			return nil
		}
		_ = s.Kill()
		if len(s.spare) == 0 || attempt == startAttempts || !errors.Is(err, errEnded) {
			return fmt.Errorf("start %s on %s: %w\n%s", s.name, s.Addr(), err, s.tail())
		}
	}
}

func (s *Server) launch() (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && s.proc.alive() {
		return nil, errors.New("it is running")
	}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(s.dir, "lock"), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("another process uses the data in %s", s.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	p, err := s.spawn(lock)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	s.proc = p
	return p, nil
}

// spawn checks the ports first, because some servers go on without one that is taken.
func (s *Server) spawn(lock io.Closer) (*process, error) {
	for _, r := range s.firm() {
		if r.port != 0 && !comesFree(r.port) {
			return nil, fmt.Errorf("port %d is taken", r.port)
		}
	}
	for i := range s.spare {
		if !listening(s.spare[i].port) {
			continue
		}
		other, err := reserve(0)
		if err != nil {
			return nil, err
		}
		s.spare[i].release()
		s.spare[i] = other
	}
	return spawn(s.program, s.args(), s.dir, s.Log(), lock)
}

// await asks the server until it answers, ends, or the context is done.
func (s *Server) await(ctx context.Context, p *process) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%w: %s", errEnded, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// Kill ends the server by SIGKILL and returns when it is gone. One that is not running is left alone.
func (s *Server) Kill() error {
	return s.end(syscall.SIGKILL)
}

// Stop ends the server by SIGTERM and returns when it is gone; a frozen one is thawed first. One that does not end within
// 20 s is killed, which is an error, and nothing is lost by it.
func (s *Server) Stop() error {
	p := s.process()
	if p == nil {
		return nil
	}
	if err := p.signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("thaw %s: %w", s.name, err)
	}
	return s.end(syscall.SIGTERM)
}

func (s *Server) end(sig syscall.Signal) error {
	p := s.process()
	if p == nil {
		return nil
	}
	if p.alive() {
		p.asked.Store(true)
	}
	if err := p.signal(sig); err != nil {
		return fmt.Errorf("send %s to %s: %w", sig, s.name, err)
	}
	timeout := time.NewTimer(stopWithin)
	defer timeout.Stop()
	select {
	case <-p.done:
		return nil
	case <-timeout.C:
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	<-p.done
	return fmt.Errorf("%s did not end within %s of %s and was killed", s.name, stopWithin, sig)
}

// Freeze stops the server's clock by SIGSTOP: connections stay open and nothing is answered, as in a long pause.
func (s *Server) Freeze() error { return s.pause(syscall.SIGSTOP) }

// Thaw lets a frozen server go on by SIGCONT.
func (s *Server) Thaw() error { return s.pause(syscall.SIGCONT) }

func (s *Server) pause(sig syscall.Signal) error {
	p := s.process()
	if p == nil || !p.alive() {
		return fmt.Errorf("send %s to %s: it is not running", sig, s.name)
	}
	if err := p.signal(sig); err != nil {
		return fmt.Errorf("send %s to %s: %w", sig, s.name, err)
	}
	return nil
}

// Restart stops the server if it runs, and starts it on the same ports and data.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.Start(ctx)
}

// tail is the end of the log, for errors: its last lines, each cut, because Temporal's end in long stack traces.
func (s *Server) tail() string {
	const lines, width = 20, 300
	text, err := os.ReadFile(s.Log())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = line[:min(len(line), width)]
	}
	return strings.Join(all, "\n")
}
