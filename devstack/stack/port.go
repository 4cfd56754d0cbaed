//go:build unix

package stack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

// Ports stay below 32768, where Linux starts to hand out ports for outgoing connections, and above those that people know.
const (
	firstPort = 20000
	lastPort  = 31999
)

// reservation is a port that no other process with this package is given while it is held.
type reservation struct {
	port int
	lock *os.File
}

func (r reservation) release() {
	if r.lock != nil {
		_ = r.lock.Close()
	}
}

// Direct has a client that is told to come by the advertised address go to the broker itself.
func Direct(broker, advertised string) kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == advertised {
			addr = broker
		}
		d := net.Dialer{Timeout: 10 * time.Second} // as the client's own
		return d.DialContext(ctx, network, addr)
	})
}

// reserve holds the wanted port, or, if that is 0, one that nobody listens on.
func reserve(wanted int) (reservation, error) {
	if wanted != 0 {
		return reservation{port: wanted}, nil
	}
	cache, err := cacheDir()
	if err != nil {
		return reservation{}, fmt.Errorf("reserve a port: %w", err)
	}
	dir := filepath.Join(cache, "ports")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return reservation{}, fmt.Errorf("reserve a port: %w", err)
	}
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // spread, not secrecy
		lock, err := lockFile(filepath.Join(dir, strconv.Itoa(port)), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return reservation{}, fmt.Errorf("reserve a port: %w", err)
		}
		if listening(port) {
			_ = lock.Close()
			continue
		}
		return reservation{port: port, lock: lock}, nil
	}
	return reservation{}, fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}

// ReservePort is a free port on loopback that no other process with this package is given before it is released, or this one ends. It
// suits a server that is started again: no outgoing connection gets it meanwhile.
func ReservePort() (port int, release func(), err error) {
	r, err := reserve(0)
	if err != nil {
		return 0, nil, err
	}
	kept.Store(r.port, r)
	return r.port, func() { kept.Delete(r.port); r.release() }, nil
}

// kept holds what ReservePort has given away: a lock ends when its file is collected.
var kept sync.Map

// listening says whether the port cannot be listened on now.
func listening(port int) bool {
	l, err := net.Listen("tcp", loopback(port)) //nolint:noctx // a listener on loopback does not wait
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}

// comesFree waits for a moment: a child that was forked while somebody looked whether the port is free has that socket until it
// executes its program, which on a busy machine takes a while.
func comesFree(port int) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 60 {
		if !listening(port) {
			return true
		}
		<-tick.C
	}
	return false
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// lockFile opens the file and takes the flock; closing the file, or the end of the process, lets it go.
func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in the cache or a server's directory
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
