package activities

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
)

// proxy stands before ClickHouse. It keeps answers back on connections over which the client has sent more than so many bytes; 0: never.
type proxy struct {
	to   string
	mute atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

// deafen has the bench insert through a proxy.
func (b *bench) deafen() *proxy {
	b.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b.t, err)
	p := &proxy{to: b.cfg.Addresses()[0]}
	go p.serve(l)
	cfg := b.cfg
	cfg.Hosts = []string{l.Addr().String()}
	b.Inserter = clickhouse.NewInserter(cfg)
	b.t.Cleanup(func() { _ = l.Close(); p.cut() })
	return p
}

func (p *proxy) serve(l net.Listener) {
	for {
		client, err := l.Accept()
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

// cut ends every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// lose runs what inserts, takes the answer to its first block away when the server has stored it, and is silent no more.
// Meanwhile is what happens before the insert can be sent again.
func (b *bench) lose(p *proxy, stored string, insert func(), meanwhile ...func()) {
	b.t.Helper()
	p.mute.Store(4000) // more than hello and statement, less than a block
	done := make(chan struct{})
	go func() {
		defer close(done)
		insert()
	}()
	require.Eventually(b.t, func() bool {
		var n uint64
		err := b.conn.QueryRow(b.ctx, stored).Scan(&n)
		return err == nil && n > 0
	}, 20*time.Second, 20*time.Millisecond)
	for _, f := range meanwhile {
		f()
	}
	p.mute.Store(0)
	p.cut()
	<-done
}

// What nobody has answered may still land, whatever a later try is answered.
func TestAnAnswerDoesNotSpeakForTheTryBeforeIt(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	j := b.job(299)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	var err error
	b.lose(b.deafen(), "SELECT count() FROM logs", func() { _, err = run[Inserted](b, b.Insert, in) },
		func() { require.NoError(t, b.conn.Exec(b.ctx, "RENAME TABLE logs TO away")) })
	trouble := TroubleOf(err)
	require.Equal(t, 60, trouble.Code)
	require.True(t, trouble.Progress.Doubt)
	require.True(t, trouble.Progress.Silent)
	require.Positive(t, trouble.Block)
}

func TestABlockWhoseAnswerWasLostIsSentAgainAndStoredOnce(t *testing.T) {
	b := setup(t)
	b.produce(300, 50)
	j := b.job(299)
	in := InsertInput{Job: j, Warrant: b.look(j).Warrant}
	var out Inserted
	var err error
	b.lose(b.deafen(), "SELECT count() FROM logs", func() { out, err = run[Inserted](b, b.Insert, in) })
	require.NoError(t, err)
	require.True(t, out.Resent)
	require.False(t, out.Clean, "the counts alone prove nothing: the books need another look")
	require.False(t, out.Doubt, "every block was acknowledged under its token in the end")
	require.EqualValues(t, 588, out.Stored)
	b.exact(588)
}

func TestLettersWhoseAnswerWasLostAreSentAgainAndStoredOnce(t *testing.T) {
	b := setup(t)
	b.produce(300, 2)
	in, out := b.insert(b.job(299))
	var routed Routed
	var err error
	b.lose(b.deafen(), "SELECT count() FROM dead_letters", func() { routed, err = run[Routed](b, b.DeadLetter, letter(in, out)) })
	require.NoError(t, err)
	require.False(t, routed.Clean)
	require.EqualValues(t, 300, routed.Count)
	require.Equal(t, 300, b.count("SELECT count() FROM dead_letters"))
	require.Equal(t, 300, b.count("SELECT uniqExact(_topic_id, _partition, _offset) FROM dead_letters"))
}
