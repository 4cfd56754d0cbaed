package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// startWithin bounds the wait for a server that started and does not answer, stopWithin and killWithin that for the end of one.
const (
	startWithin = 2 * time.Minute
	stopWithin  = 20 * time.Second
	killWithin  = time.Minute
)

// Server is one server in a container of its own. Its addresses and data stay through any number of kills and starts.
type Server struct {
	docker     *Docker
	name       string
	image      string
	dir        string // absolute, mounted at this path and used by whoever runs the tests; "": data are in a volume of the container's
	port, http int    // http is 0 where there is none
	env        map[string]string
	args       []string
	prepare    func() error // called before each start
	ready      func(ctx context.Context) error

	mu        sync.Mutex
	container testcontainers.Container // nil before the first start
	life      *life                    // nil before the first start
}

// life is a container from a start to its end.
type life struct {
	asked atomic.Bool   // to end, by us
	over  chan struct{} // closed at its end
	how   string        // it ended, once over is closed
}

// newServer makes the directory, unless it is empty, and reserves the ports.
func newServer(d *Docker, name, variable, dir string, http bool) (*Server, error) {
	s := &Server{docker: d, name: name, image: image(variable), prepare: func() error { return nil }}
	var err error
	if dir != "" {
		if s.dir, err = filepath.Abs(dir); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := os.MkdirAll(s.dir, 0o750); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if s.port, _, err = stack.ReservePort(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if http {
		s.http, _, err = stack.ReservePort()
	}
	return s, err
}

// Name is kafka, clickhouse or temporal.
func (s *Server) Name() string { return s.name }

// Addr is host:port of the broker, of ClickHouse's native protocol, or of Temporal's frontend.
func (s *Server) Addr() string { return loopback(s.port) }

// HTTPAddr is host:port of ClickHouse's HTTP interface or Temporal's UI; it is empty where there is none.
func (s *Server) HTTPAddr() string {
	if s.http == 0 {
		return ""
	}
	return loopback(s.http)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// PID is that of the container's first process, as the host sees it, or 0.
func (s *Server) PID() int {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	c, _ := s.now()
	if c == nil {
		return 0
	}
	state, err := c.State(ctx)
	if err != nil {
		return 0
	}
	return state.Pid
}

func (s *Server) now() (testcontainers.Container, *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.container, s.life
}

// errEnded is that the server ended before it answered.
var errEnded = errors.New("it ended before it answered")

// startAttempts are for a server with ports of its own choice: Temporal has four that it takes where it finds them free.
const startAttempts = 3

// Start returns when the server answers its own protocol. The context bounds the wait only.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for attempt := 1; ; attempt++ {
		l, err := s.launch(ctx)
		if err == nil {
			err = s.await(ctx, l)
		}
		if err == nil {
			return nil
		}
		if attempt == startAttempts || !errors.Is(err, errEnded) {
			return fmt.Errorf("start %s on %s in a container of %s: %w\n%s", s.name, s.Addr(), s.image, err, s.tail())
		}
	}
}

func (s *Server) launch(ctx context.Context) (*life, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if s.container == nil {
		c, err := testcontainers.GenericContainer(ctx, s.request())
		if err != nil {
			return nil, err
		}
		s.container = c
	}
	if err := s.container.Start(ctx); err != nil {
		return nil, err
	}
	s.life = &life{over: make(chan struct{})}
	go s.docker.watch(s.container.GetContainerID(), s.life) //nolint:gosec,contextcheck // it lives as long as the container
	return s.life, nil
}

// request is what the container is made of. One with a directory runs as whoever runs the tests, so that both can read and remove
// each other's files.
func (s *Server) request() testcontainers.GenericContainerRequest {
	return testcontainers.GenericContainerRequest{ContainerRequest: testcontainers.ContainerRequest{
		Image:  s.image,
		Env:    s.env,
		Cmd:    s.args,
		Labels: map[string]string{ownerLabel: s.docker.owner.Name()},
		ConfigModifier: func(c *container.Config) {
			if s.dir != "" {
				c.User = fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
			}
		},
		// Where the engine has no network bridge, testcontainers adds one of its own, which would be the host's as well.
		EndpointSettingsModifier: func(networks map[string]*network.EndpointSettings) { clear(networks) },
		HostConfigModifier: func(c *container.HostConfig) {
			c.NetworkMode = "host"
			if s.dir != "" {
				c.Binds = []string{s.dir + ":" + s.dir}
			}
		},
	}}
}

// watch waits for the end of a life.
func (d *Docker) watch(id string, l *life) {
	defer close(l.over)
	w := d.ContainerWait(context.Background(), id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case end := <-w.Result:
		l.how = fmt.Sprint("exit code ", end.StatusCode)
	case err := <-w.Error:
		l.how = err.Error()
	}
}

// await asks the server until it answers, ends, or the context is done.
func (s *Server) await(ctx context.Context, l *life) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-l.over:
			return fmt.Errorf("%w: %s", errEnded, l.how)
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// Kill ends the server by SIGKILL, also a frozen one, and returns when it is gone. One that is not running is left alone.
func (s *Server) Kill() error { return s.end("KILL", killWithin) }

// Stop ends the server by SIGTERM and returns when it is gone. One that does not end within 20 s is killed, which is an error, and
// nothing is lost by it.
func (s *Server) Stop() error {
	err := s.end("TERM", stopWithin)
	if err == nil {
		return nil
	}
	return errors.Join(err, s.Kill())
}

// end sends the signal and waits until the server is gone.
func (s *Server) end(signal string, within time.Duration) error {
	c, l := s.now()
	if l == nil || l.ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	l.asked.Store(true)
	if _, err := s.docker.ContainerKill(ctx, c.GetContainerID(), client.ContainerKillOptions{Signal: signal}); err != nil && !l.ended() {
		return fmt.Errorf("send SIG%s to %s: %w", signal, s.name, err)
	}
	select {
	case <-l.over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s is still there %s after SIG%s", s.name, within, signal)
	}
}

func (l *life) ended() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// Freeze pauses the container: connections stay open, and nothing is answered.
func (s *Server) Freeze() error {
	return s.do("freeze", func(ctx context.Context, id string) error {
		_, err := s.docker.ContainerPause(ctx, id, client.ContainerPauseOptions{})
		return err
	})
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error {
	return s.do("thaw", func(ctx context.Context, id string) error {
		_, err := s.docker.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
		return err
	})
}

func (s *Server) do(what string, f func(ctx context.Context, id string) error) error {
	c, l := s.now()
	if l == nil || l.ended() {
		return fmt.Errorf("%s %s: it is not running", what, s.name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), killWithin)
	defer cancel()
	if err := f(ctx, c.GetContainerID()); err != nil {
		return fmt.Errorf("%s %s: %w", what, s.name, err)
	}
	return nil
}

// Died is nil while the server runs, and after Kill. After an end that nobody asked for it says how it ended, with the end of its log.
func (s *Server) Died() error {
	_, l := s.now()
	if l == nil || !l.ended() || l.asked.Load() {
		return nil
	}
	return fmt.Errorf("%s ended by itself: %s\n%s", s.name, l.how, s.tail())
}

// Remove ends the server and removes its container, and the data that are not in its directory.
func (s *Server) Remove() error {
	c, l := s.now()
	if c == nil {
		return nil
	}
	if l != nil {
		l.asked.Store(true)
	}
	ctx, cancel := context.WithTimeout(context.Background(), killWithin)
	defer cancel()
	return s.docker.remove(ctx, c.GetContainerID())
}

// tail is the end of what the container printed, for errors, also of a wait that was cancelled.
//
//nolint:contextcheck // see above
func (s *Server) tail() string {
	const lines = 20
	c, _ := s.now()
	if c == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	log, err := c.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = log.Close() }()
	text, err := io.ReadAll(log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
