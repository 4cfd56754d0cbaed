//go:build unix

package stack_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/devstack/stack"
)

func clickhouse(t *testing.T) *stack.Server {
	t.Helper()
	s, err := stack.ClickHouse(stack.ClickHouseOptions{Binaries: binaries(t), Dir: t.TempDir()})
	return running(t, s, err)
}

func query(ctx context.Context, s *stack.Server, sql string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.HTTPAddr(), strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(body)), err
}

func ask(t *testing.T, s *stack.Server, sql string) string {
	t.Helper()
	answer, err := query(t.Context(), s, sql)
	require.NoError(t, err)
	require.NotContains(t, answer, "DB::Exception")
	return answer
}

func TestClickHouseKeepsRowsAndTokensOverSIGKILL(t *testing.T) {
	s := clickhouse(t)
	insert := "INSERT INTO t SETTINGS insert_deduplication_token = 'one' VALUES (1), (2)"
	ask(t, s, "CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100")
	ask(t, s, insert)
	replaced(t, s)
	require.Equal(t, "2", ask(t, s, "SELECT count() FROM t"))
	ask(t, s, insert)
	require.Equal(t, "2", ask(t, s, "SELECT count() FROM t"), "the token was forgotten")
}

func TestClickHouseLogsQueriesAndParts(t *testing.T) {
	s := clickhouse(t)
	ask(t, s, "CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
	ask(t, s, "INSERT INTO t VALUES (1)")
	ask(t, s, "SYSTEM FLUSH LOGS")
	require.NotEqual(t, "0", ask(t, s, "SELECT count() FROM system.query_log WHERE query_kind = 'Insert'"))
	require.NotEqual(t, "0", ask(t, s, "SELECT count() FROM system.part_log WHERE event_type = 'NewPart' AND table = 't'"))
}

func TestClickHouseTakesUsersFromUsersD(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "users.d"), 0o750))
	reader := `<clickhouse><users><reader><password>secret</password><networks><ip>::/0</ip></networks><profile>default</profile>
		<quota>default</quota><grants><query>GRANT SELECT ON system.one</query></grants></reader></users></clickhouse>`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users.d", "reader.xml"), []byte(reader), 0o600))
	made, err := stack.ClickHouse(stack.ClickHouseOptions{Binaries: binaries(t), Dir: dir})
	s := running(t, made, err)
	require.Contains(t, ask(t, s, "SHOW USERS"), "reader")
}

func TestFrozenServerAnswersNothingUntilThawed(t *testing.T) {
	s := clickhouse(t)
	require.NoError(t, s.Freeze())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := query(ctx, s, "SELECT 1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, s.Thaw())
	require.Equal(t, "1", ask(t, s, "SELECT 1"))
	require.NoError(t, s.Freeze())
	require.NoError(t, s.Restart(t.Context()), "a frozen server cannot be restarted")
	require.Equal(t, "1", ask(t, s, "SELECT 1"))
}

func TestServerThatDoesNotComeUpSaysWhy(t *testing.T) {
	b := binaries(t)
	b.LibCHDB = "/nowhere/libchdb.so"
	s, err := stack.ClickHouse(stack.ClickHouseOptions{Binaries: b, Dir: t.TempDir()})
	require.NoError(t, err)
	require.ErrorContains(t, s.Start(t.Context()), "/nowhere/libchdb.so")
	require.Zero(t, s.PID())
}

func TestDataIsUsedByOneServerAtATime(t *testing.T) {
	first := clickhouse(t)
	second, err := stack.ClickHouse(stack.ClickHouseOptions{Binaries: binaries(t), Dir: first.Dir()})
	require.NoError(t, err)
	require.ErrorContains(t, second.Start(t.Context()), "another process uses the data")
	require.Equal(t, "1", ask(t, first, "SELECT 1"))
}

func TestStackExportsWhatProgramsAndTestsRead(t *testing.T) {
	s, err := stack.New(binaries(t), t.TempDir(), names()...)
	require.NoError(t, err)
	require.Len(t, s.Servers(), 3)
	text := strings.Join(s.Env(), "\n")
	for _, want := range []string{
		"KAFKA_SERVERS=" + s.Kafka.Addr(), "TEST_KAFKA=" + s.Kafka.Addr(), "CLICKHOUSE_HOST=127.0.0.1",
		"TEST_CLICKHOUSE=" + s.ClickHouse.Addr(), "TEMPORAL_ADDRESS=" + s.Temporal.Addr(), "TEST_TEMPORAL=" + s.Temporal.Addr(),
	} {
		require.Contains(t, text, want)
	}
}

// loginAs opens the native protocol as a user that does not exist, and answers the kind of packet that comes back.
func loginAs(ctx context.Context, s *stack.Server, user string) (byte, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	text := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	hello := text([]byte{0}, "test")                  // packet Hello, the client's name
	hello = append(hello, 1, 0)                       // the client's version
	hello = binary.AppendUvarint(hello, 54000)        // of the protocol
	hello = text(text(text(hello, ""), user), "none") // database, user, password
	if _, err := conn.Write(hello); err != nil {
		return 0, err
	}
	var kind [1]byte
	_, err = io.ReadFull(conn, kind[:])
	return kind[0], err
}

func TestClickHouseOutlivesAClientsFaults(t *testing.T) {
	s := clickhouse(t)
	const exception = 2
	for range 3 {
		kind, err := loginAs(t.Context(), s, "nobody")
		require.NoError(t, err)
		require.EqualValues(t, exception, kind)
	}
	// An exception on a connection's thread takes a moment to end the process, if it does.
	require.Never(t, func() bool { return s.Died() != nil }, time.Second, 10*time.Millisecond)
	require.Equal(t, "1", ask(t, s, "SELECT 1"))
}

func TestDiedTellsAnEndThatNobodyAskedFor(t *testing.T) {
	s := clickhouse(t)
	require.NoError(t, s.Died())
	require.NoError(t, syscall.Kill(s.PID(), syscall.SIGKILL))
	<-s.Exited()
	require.ErrorContains(t, s.Died(), "clickhouse ended by itself: signal: killed")
	require.NoError(t, s.Start(t.Context()))
	require.NoError(t, s.Died())
	require.NoError(t, s.Kill())
	require.NoError(t, s.Died())
}
