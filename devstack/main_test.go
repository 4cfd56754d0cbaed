//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// argsVariable makes the test binary be devstack, with these arguments.
const argsVariable = "DEVSTACK_TEST_ARGS"

func TestMain(m *testing.M) {
	if args := os.Getenv(argsVariable); args != "" {
		os.Exit(run(strings.Split(args, "\n"), os.Stdout, os.Stderr)) //nolint:forbidigo // this process is main here
	}
	m.Run()
}

// devstack is this program as another process.
func devstack(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:noctx // its life is the test's
	cmd.Env = append(os.Environ(), argsVariable+"="+strings.Join(args, "\n"), "KAFKA_SERVERS=", "CLICKHOUSE_HOST=", "TEMPORAL_ADDRESS=")
	cmd.Stderr = os.Stderr
	return cmd
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener on loopback does not wait
		require.NoError(t, err)
		defer func() { _ = l.Close() }()
		ports[i] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func upOn(ports []string, dir string) []string {
	return []string{
		"up", "-json", "-data", dir, "-kafka-port", ports[0], "-clickhouse-port", ports[1], "-clickhouse-http-port", ports[2],
		"-temporal-port", ports[3], "-temporal-ui-port", ports[4],
	}
}

func TestExecAnswersTheCommandsExitCode(t *testing.T) {
	var exit *exec.ExitError
	require.ErrorAs(t, devstack(t, "exec", "-only", "kafka", "--", "sh", "-c", "exit 7").Run(), &exit)
	require.Equal(t, 7, exit.ExitCode())
	require.ErrorAs(t, devstack(t, "exec", "-only", "kafka", "--", "sh", "-c", "kill -9 $$").Run(), &exit)
	require.Equal(t, 137, exit.ExitCode())
	require.NoError(t, devstack(t, "exec", "-only", "kafka", "--", "true").Run())
}

func TestExecRunsAgainstServersThatAreGoneAfterwards(t *testing.T) {
	out, err := devstack(t, "exec", "--", "sh", "-c", "echo $TEST_KAFKA $TEST_CLICKHOUSE $TEST_TEMPORAL $KAFKA_SERVERS $CLICKHOUSE_HOST:$CLICKHOUSE_PORT $TEMPORAL_ADDRESS").Output()
	require.NoError(t, err)
	addrs := strings.Fields(string(out))
	require.Len(t, addrs, 6)
	require.Equal(t, addrs[:3], addrs[3:])
	for _, addr := range addrs[:3] {
		require.True(t, silent(addr), addr)
	}
}

func TestExecPassesSIGTERMOn(t *testing.T) {
	cmd := devstack(t, "exec", "-only", "kafka", "--", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do read x; done")
	input, err := cmd.StdinPipe() // what the command waits for
	require.NoError(t, err)
	defer func() { _ = input.Close() }()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, 3, exit.ExitCode())
}

func TestUpStartsUsesWhatRunsAndStopsWhatItStarted(t *testing.T) {
	ports := freePorts(t, 5)
	cmd := devstack(t, upOn(ports, t.TempDir())...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var first addresses
	require.NoError(t, json.NewDecoder(out).Decode(&first))
	require.NoError(t, stack.AskKafka(t.Context(), first.Kafka))
	require.NoError(t, stack.AskTemporal(t.Context(), first.Temporal, strings.TrimPrefix(first.TemporalUI, "http://")))

	second, err := devstack(t, upOn(ports, t.TempDir())...).Output()
	require.NoError(t, err, "a second up uses what runs, and has nothing to wait for")
	var same addresses
	require.NoError(t, json.Unmarshal(second, &same))
	require.Equal(t, first, same)
	require.NoError(t, stack.AskClickHouse(t.Context(), first.ClickHouse, strings.TrimPrefix(first.ClickHouseHTTP, "http://")))

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	for _, port := range ports {
		require.True(t, silent("127.0.0.1:"+port), port)
	}
}

func TestUpStopsWhenItsParentIsGone(t *testing.T) {
	ports := freePorts(t, 5)
	inner := devstack(t, upOn(ports, t.TempDir())...)
	shell := exec.Command("sh", "-c", `"$0" & echo $!; wait`, inner.Path) //nolint:noctx // its life is the test's
	shell.Env, shell.Stderr = inner.Env, os.Stderr
	out, err := shell.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, shell.Start())
	var pid int
	var addrs addresses
	lines := json.NewDecoder(out)
	require.NoError(t, lines.Decode(&pid))
	t.Cleanup(func() { // if the promise is broken, at least nothing stays behind
		if !t.Failed() {
			return // the number may be another process's by now
		}
		_ = syscall.Kill(pid, syscall.SIGTERM)
	})
	require.NoError(t, lines.Decode(&addrs))
	require.NoError(t, shell.Process.Kill())
	_ = shell.Wait()
	require.Eventually(t, func() bool { return gone(pid) }, 20*time.Second, 20*time.Millisecond)
	for _, port := range ports {
		require.True(t, silent("127.0.0.1:"+port), port)
	}
}

func TestUpNamesAPortThatSomethingElseHas(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener on loopback does not wait
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	ports := freePorts(t, 5)
	_, ports[2], err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	var log bytes.Buffer
	cmd := devstack(t, upOn(ports, t.TempDir())...)
	cmd.Stderr = &log
	require.Error(t, cmd.Run())
	require.Contains(t, log.String(), "port "+ports[2]+" is taken, and not by a working ClickHouse")
}

func TestUpStartsNothingThatIsConfigured(t *testing.T) {
	t.Setenv("KAFKA_SERVERS", "kafka-1:9092,kafka-2:9092")
	t.Setenv("CLICKHOUSE_HOST", "clickhouse.invalid")
	t.Setenv("TEMPORAL_ADDRESS", "temporal.invalid:7233")
	var out, log bytes.Buffer
	require.NoError(t, up(context.Background(), []string{"-data", t.TempDir()}, &out, &log))
	require.Equal(t, "Kafka       kafka-1:9092,kafka-2:9092  configured by KAFKA_SERVERS\n"+
		"ClickHouse  clickhouse.invalid:9000    configured by CLICKHOUSE_HOST\n"+
		"Temporal    temporal.invalid:7233      configured by TEMPORAL_ADDRESS\n", out.String())
}

func silent(addr string) bool {
	conn, err := net.Dial("tcp", addr) //nolint:noctx // loopback answers at once
	if err != nil {
		return true
	}
	_ = conn.Close()
	return false
}

// gone is true of a process that has ended, whether or not somebody has waited for it.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}
