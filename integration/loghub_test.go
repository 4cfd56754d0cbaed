package integration

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// logHub is the directory of real log files: LOGHUB, else shared/data/loghub beside the project.
func logHub(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("LOGHUB"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	require.NoError(t, err)
	for last := ""; dir != last; last, dir = dir, filepath.Dir(dir) {
		hub := filepath.Join(filepath.Dir(dir), "shared", "data", "loghub")
		if info, err := os.Stat(hub); err == nil && info.IsDir() {
			return hub
		}
	}
	t.Skip("no real log files: let LOGHUB name the directory of loghub's *.log")
	return ""
}

// logFile is a log file, and what must become of it.
type logFile struct {
	path, service   string
	rows            []logRow
	empty, replaced int
}

// logRow is what must be in the table of one line.
type logRow struct {
	line    int // from 1
	message string
	marked  bool // had bytes that are not UTF-8
}

func readLog(t *testing.T, path string) logFile {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	f := logFile{path: path, service: strings.TrimSuffix(filepath.Base(path), ".log")}
	for n := 1; len(content) > 0; n++ {
		line, rest, ended := bytes.Cut(content, []byte("\n"))
		content = rest
		if ended && bytes.HasSuffix(line, []byte("\r")) {
			line = line[:len(line)-1]
		}
		if len(line) == 0 {
			f.empty++
			continue
		}
		r := logRow{line: n}
		if r.message, r.marked = readable(line); r.marked {
			f.replaced++
		}
		f.rows = append(f.rows, r)
	}
	return f
}

// readable has one U+FFFD for each run of bytes that are not UTF-8, and tells whether there was one.
func readable(line []byte) (text string, replaced bool) {
	var out []rune
	inRun := false
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		bad := r == utf8.RuneError && size == 1
		if !bad || !inRun {
			out = append(out, r)
		}
		inRun, replaced = bad, replaced || bad
		line = line[size:]
	}
	return string(out), replaced
}

// roughLog is made of a real one: with empty lines, a CR within a line and at the very end, Latin-1, NUL, and lines twice.
func roughLog(t *testing.T, of string) string {
	t.Helper()
	content, err := os.ReadFile(of)
	require.NoError(t, err)
	var rough bytes.Buffer
	for n, line := range bytes.SplitAfter(content, []byte("\n"))[:300] {
		switch n % 6 {
		case 0:
			rough.WriteString("\r\n\n")
		case 1:
			rough.WriteString("caf\xe9 \xff\xfe\xfd \xe2\x82 ")
		case 2:
			rough.WriteString("a\rb\x00\t\"\\u0041\" \u20ac \uFFFD ")
		case 3:
			rough.Write(line)
		}
		rough.Write(line)
	}
	rough.WriteString("the end\r")
	path := filepath.Join(t.TempDir(), "rough.log")
	require.NoError(t, os.WriteFile(path, rough.Bytes(), 0o600))
	return path
}

func TestRealLogsAreRowsByteForByteThroughAKilledConsumer(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(logHub(t), "*.log"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	paths = append(paths, roughLog(t, paths[0]))
	s := newScene(t, "BATCH_RECORDS=500")
	var files []logFile
	for i, path := range paths {
		f := readLog(t, path)
		s.sendLog(f)
		files = append(files, f)
		if i == len(paths)/2 {
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
	if b, err = s.Count(s.ctx); err == nil {
		err = b.Exact(&s.sent)
	}
	require.NoError(t, err)
	for _, f := range files {
		rows := s.logRows(f)
		for i := range min(len(f.rows), len(rows)) {
			require.Equal(t, f.rows[i], rows[i], f.path)
		}
		require.Equal(t, len(f.rows), len(rows), f.path) //nolint:testifylint // Len would print thousands of lines
	}
}

// sendLog sends the file by the real program, which must count as the test does.
func (s *scene) sendLog(f logFile) {
	s.t.Helper()
	send, err := s.Starter("send", "--service", f.service, f.path)
	require.NoError(s.t, err)
	code, err := send.Wait(s.ctx)
	require.NoError(s.t, err)
	require.Zero(s.t, code, send.Log())
	require.Equal(s.t, fmt.Sprintf("sent %d, skipped %d, replaced %d, refused 0\n", len(f.rows), f.empty, f.replaced), send.Log())
	s.sent.Good.Add(int64(len(f.rows)))
}

// logRows is all that the table has of the file's service, in the order of lines: a line that is there twice is here twice.
func (s *scene) logRows(f logFile) []logRow {
	s.t.Helper()
	rows, err := s.DB.Query(s.ctx, "SELECT message, attributes['line'], attributes['invalid_utf8'], attributes['file'] FROM logs WHERE service = ?", f.service)
	require.NoError(s.t, err)
	defer func() { _ = rows.Close() }()
	var out []logRow
	for rows.Next() {
		var message, line, marked, file string
		require.NoError(s.t, rows.Scan(&message, &line, &marked, &file))
		n, err := strconv.Atoi(line)
		require.NoError(s.t, err)
		require.Equal(s.t, f.path, file)
		out = append(out, logRow{n, message, marked == "true"})
	}
	require.NoError(s.t, rows.Err())
	slices.SortFunc(out, func(a, b logRow) int { return cmp.Compare(a.line, b.line) })
	return out
}
