package client

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
)

// link is how a server is reached, and can be out of order.
type link struct {
	mu         sync.Mutex
	down, mute bool
	most       int64 // bytes that a connection may send before it hears nothing more; 0: any number
	conns      map[net.Conn]bool
}

func newLink() *link { return &link{conns: map[net.Conn]bool{}} }

// cut ends all connections and, until mend, every new one.
func (l *link) cut() { l.set(true, false) }

// silence keeps all answers back: what is sent is carried out, and nobody hears of it.
func (l *link) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mute = true
}

// silenceAfter is silence for connections that have sent so many bytes.
func (l *link) silenceAfter(most int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = most
}

// mend puts the link in order. Connections that have lost an answer are ended.
func (l *link) mend() { l.set(false, false) }

func (l *link) set(down, mute bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down, l.mute, l.most = down, mute, 0
	for c := range l.conns {
		_ = c.Close()
	}
	clear(l.conns)
}

func (l *link) listen(network, address string) (net.Listener, error) {
	in, err := net.Listen(network, address)
	return &linkListener{in, l}, err
}

type linkListener struct {
	net.Listener
	l *link
}

func (l *linkListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.l.mu.Lock()
		down := l.l.down
		if !down {
			l.l.conns[c] = true
		}
		l.l.mu.Unlock()
		if down {
			_ = c.Close()
			continue
		}
		return &linkConn{Conn: c, l: l.l}, nil
	}
}

type linkConn struct {
	net.Conn
	l    *link
	read atomic.Int64
}

func (c *linkConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func (c *linkConn) Write(p []byte) (int, error) {
	c.l.mu.Lock()
	mute := c.l.mute || c.l.most > 0 && c.read.Load() > c.l.most
	c.l.mu.Unlock()
	if mute {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// through is the configuration to reach the server by the link.
func (l *link) through(t testing.TB, c clickhouse.Config) clickhouse.Config {
	t.Helper()
	to := c.Addresses()[0]
	in, err := l.listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.Close(); l.cut() })
	go func() {
		for {
			client, err := in.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go carry(server, client)
			go carry(client, server)
		}
	}()
	addr, ok := in.Addr().(*net.TCPAddr)
	require.True(t, ok)
	c.Hosts = []string{"127.0.0.1:" + strconv.Itoa(addr.Port)}
	return c
}

func carry(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}
