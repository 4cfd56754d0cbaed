//go:build unix

package stack_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// parentVariable makes the test binary a parent that starts a stack below the named directory, says so, and waits to be killed.
const parentVariable = "DEVSTACK_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVariable); dir != "" {
		if err := parent(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // this process is a program here
		}
		return
	}
	m.Run()
}

func parent(dir string) error {
	b, err := prepared()
	if err != nil {
		return err
	}
	s, err := stack.New(b, dir, names()...)
	if err != nil {
		return err
	}
	if err := s.Start(context.Background()); err != nil {
		return err
	}
	for _, server := range s.Servers() {
		fmt.Println(server.PID(), server.Addr())
	}
	fmt.Println("ready")
	select {}
}

// names are all servers, with the Kafka that was chosen.
func names() []string {
	kafka, err := stack.ChosenKafka()
	if err != nil {
		kafka = err.Error() // a server that there is not
	}
	return []string{kafka, stack.ClickHouseName, stack.TemporalName}
}

var prepared = sync.OnceValues(func() (stack.Binaries, error) {
	return stack.Prepare(context.Background(), os.Stderr, names()...)
})

func binaries(t *testing.T) stack.Binaries {
	t.Helper()
	b, err := prepared()
	require.NoError(t, err)
	return b
}

// running starts the server and has the test stop it.
func running(t *testing.T, s *stack.Server, err error) *stack.Server {
	t.Helper()
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() {
		require.NoError(t, s.Stop())
		require.Zero(t, s.PID())
		s.Release()
	})
	return s
}

// replaced kills the server and starts it again: another process on the same address.
func replaced(t *testing.T, s *stack.Server) {
	t.Helper()
	addr, pid := s.Addr(), s.PID()
	require.NotZero(t, pid)
	require.NoError(t, s.Kill())
	require.Zero(t, s.PID())
	require.NoError(t, s.Start(t.Context()))
	require.NotEqual(t, pid, s.PID())
	require.Equal(t, addr, s.Addr())
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 20*time.Second, 20*time.Millisecond, what)
}
