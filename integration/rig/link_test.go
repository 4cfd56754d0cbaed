package rig

import (
	"bufio"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shouter answers each line with that line.
func shouter(t *testing.T) string {
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
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}

type caller struct {
	net.Conn
	*bufio.Reader
}

func call(t *testing.T, l *Link) caller {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return caller{Conn: c, Reader: bufio.NewReader(c)}
}

// answered tells whether a line comes back within the time.
func (c caller) answered(t *testing.T, within time.Duration) error {
	t.Helper()
	_, _ = c.Write([]byte("hello\n"))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(within)))
	_, err := c.ReadString('\n')
	return err
}

func TestALinkCountsWhatItDoesToConnectionsAndIsItselfAgain(t *testing.T) {
	l, err := newLink()
	require.NoError(t, err)
	require.NoError(t, l.open("shouter", shouter(t)))
	t.Cleanup(l.close)
	const soon, long = 100 * time.Millisecond, 5 * time.Second
	for name, trouble := range map[string]func(){"lose": l.Lose, "lose answers": l.LoseAnswers} {
		t.Run(name, func(t *testing.T) {
			old := call(t, l)
			require.NoError(t, old.answered(t, long))
			trouble()
			require.Zero(t, l.Felt())
			require.ErrorContains(t, old.answered(t, soon), "timeout")
			require.ErrorContains(t, call(t, l).answered(t, soon), "timeout")
			require.Positive(t, l.Felt())
			l.Clear()
			ended := old.answered(t, long)
			require.Error(t, ended, "it has lost something")
			require.NotErrorIs(t, ended, os.ErrDeadlineExceeded)
			require.NoError(t, call(t, l).answered(t, long))
		})
	}
	t.Run("refuse", func(t *testing.T) {
		old := call(t, l)
		require.NoError(t, old.answered(t, long))
		l.Refuse()
		require.Error(t, old.answered(t, long))
		require.Error(t, call(t, l).answered(t, long))
		require.Positive(t, l.Felt())
		l.Clear()
		require.NoError(t, call(t, l).answered(t, long))
	})
	t.Run("slow", func(t *testing.T) {
		old := call(t, l)
		l.Slow(200 * time.Millisecond)
		began := time.Now()
		require.NoError(t, old.answered(t, long))
		require.Greater(t, time.Since(began), 300*time.Millisecond)
		require.Positive(t, l.Felt())
		l.Clear()
		require.NoError(t, old.answered(t, long), "nothing was lost")
	})
}
