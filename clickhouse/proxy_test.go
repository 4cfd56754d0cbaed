package clickhouse_test

import (
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
)

// proxy stands between a client and the server, and can keep answers back.
type proxy struct {
	to       string
	listener net.Listener
	// mute keeps every answer back after the client has sent so many bytes on a
	// connection; 0 never.
	mute atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

// through starts a proxy and is the configuration to go through it.
func through(t *testing.T, c clickhouse.Config) (*proxy, clickhouse.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{to: c.Addresses()[0], listener: l}
	go p.run()
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	addr, ok := l.Addr().(*net.TCPAddr)
	require.True(t, ok)
	c.Hosts = []string{"127.0.0.1:" + strconv.Itoa(addr.Port)}
	return p, c
}

func (p *proxy) run() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		var sent atomic.Int64
		go pump(server, client, func(n int) bool { sent.Add(int64(n)); return true })
		go pump(client, server, func(int) bool { m := p.mute.Load(); return m == 0 || sent.Load() < m })
	}
}

func pump(to io.WriteCloser, from io.Reader, pass func(int) bool) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if pass(n) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// cut ends every connection, as a restart of the server does.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// refusing is a server that answers every login with an exception. The test
// server cannot be asked to: libchdb 26.7 aborts when a login fails.
func refusing(t *testing.T, code int32) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := c.Read(make([]byte, 4096)); err == nil {
				const name, message = "DB::Exception", "no"
				answer := binary.LittleEndian.AppendUint32([]byte{2}, uint32(code))
				answer = append(append(answer, byte(len(name))), name...)
				answer = append(append(answer, byte(len(message))), message...)
				_, _ = c.Write(append(answer, 0, 0))
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}
