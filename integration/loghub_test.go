package integration

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// realLogs are the lines of each file, by the name of its service.
func realLogs(t *testing.T) (files []string, lines map[string][]string) {
	t.Helper()
	dir := cmp.Or(os.Getenv("LOGHUB_DIR"), filepath.Join("..", "..", "shared", "data", "loghub"))
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no real log files: set LOGHUB_DIR to a directory that holds loghub's")
	}
	lines = map[string][]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.SplitSeq(strings.TrimSuffix(string(content), "\n"), "\n") {
			if line = strings.TrimSuffix(line, "\r"); line != "" {
				lines[service(file)] = append(lines[service(file)], line)
			}
		}
	}
	return files, lines
}

func service(file string) string { return strings.TrimSuffix(filepath.Base(file), ".log") }

func TestRealLogsAreRowsByteForByteThroughAKilledConsumer(t *testing.T) {
	files, lines := realLogs(t)
	s := newScene(t, "BATCH_RECORDS=500")
	for i, file := range files {
		send, err := s.Starter("send", "--service", service(file), file)
		require.NoError(t, err)
		code, err := send.Wait(s.ctx)
		require.NoError(t, err)
		require.Zero(t, code, send.Log())
		s.sent.Good.Add(int64(len(lines[service(file)])))
		if i == len(files)/2 {
			s.stored(1)
			s.consumer.Kill()
		}
	}
	b, err := s.Count(s.ctx)
	require.NoError(t, err)
	require.Less(t, b.Stored, s.sent.Good.Load(), "the consumer was killed too late to be missed")
	require.NoError(t, s.consumer.Restart())
	require.NoError(t, s.Drain(s.ctx, &s.sent))
	require.NoError(t, s.Settled(s.ctx))
	b, err = s.Count(s.ctx)
	require.NoError(t, err)
	require.NoError(t, b.Exact(&s.sent))
	for name, want := range lines {
		var got []string
		require.NoError(t, s.DB.QueryRow(s.ctx, "SELECT groupArray(message) FROM logs WHERE service = ?", name).Scan(&got))
		slices.Sort(want)
		slices.Sort(got)
		require.Equal(t, want, got, name)
	}
}
