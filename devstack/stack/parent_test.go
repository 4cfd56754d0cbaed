//go:build unix

package stack_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// gone is true of a process that has ended, whether or not somebody has waited for it.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}

func TestNothingOutlivesAParentKilledBySIGKILL(t *testing.T) {
	for name, freeze := range map[string]bool{"running": false, "frozen": true} {
		t.Run(name, func(t *testing.T) {
			if freeze && runtime.GOOS != "linux" {
				t.Skip("only Linux can kill a frozen child")
			}
			cmd, children := startParent(t)
			for _, pid := range children {
				require.False(t, gone(pid))
				if freeze {
					require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
				}
			}
			t.Cleanup(func() { // if the promise is broken, at least nothing stays behind
				for _, pid := range children {
					if !gone(pid) {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			})
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
			for _, pid := range children {
				eventually(t, "the child is gone", func() bool { return gone(pid) })
			}
		})
	}
}

// startParent answers once all children of the new process run, with their process IDs.
func startParent(t *testing.T) (*exec.Cmd, []int) {
	t.Helper()
	binaries(t)
	cmd := exec.Command(os.Args[0]) //nolint:noctx // its life is the test's
	cmd.Env = append(os.Environ(), parentVariable+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var children []int
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		var pid int
		var addr string
		_, err := fmt.Sscan(lines.Text(), &pid, &addr)
		require.NoError(t, err)
		children = append(children, pid)
	}
	require.NoError(t, lines.Err())
	require.Len(t, children, 3)
	return cmd, children
}

// On Linux the kernel kills the children before they could read the end of their input, so that is tested by itself.
func TestServersEndWhenTheirInputDoes(t *testing.T) {
	s, err := stack.New(binaries(t), t.TempDir(), names()...)
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	for _, server := range s.Servers() {
		want := "exit status 0"
		if server == s.Kafka && names()[0] == stack.ApacheKafkaName {
			want = "exit status 143" // Java's way to obey SIGTERM
		}
		require.Equal(t, want, server.EndInput(), server.Name())
		require.Zero(t, server.PID())
	}
}
