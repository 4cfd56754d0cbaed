package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// readLines reads everything; a line over the limit is "!" and its size.
func readLines(t *testing.T, r io.Reader, longest int) (texts []string, sizes []int64) {
	t.Helper()
	lines := newLineReader(r, longest)
	for {
		l, err := lines.next()
		if errors.Is(err, io.EOF) {
			return texts, sizes
		}
		require.NoError(t, err)
		require.EqualValues(t, len(texts)+1, l.number)
		text := string(l.text)
		if l.text == nil && l.size > 0 {
			text = "!"
		}
		texts, sizes = append(texts, text), append(sizes, l.size)
	}
}

func TestLineReaderCutsAtTerminators(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"nothing":            {"", nil},
		"LF":                 {"a\nbc\n", []string{"a", "bc"}},
		"CRLF":               {"a\r\nbc\r\n", []string{"a", "bc"}},
		"no final newline":   {"a\nbc", []string{"a", "bc"}},
		"empty lines":        {"\n\r\n\na\n", []string{"", "", "", "a"}},
		"CR inside":          {"a\rb\nc\r\r\n", []string{"a\rb", "c\r"}},
		"CR at the end":      {"a\r", []string{"a\r"}},
		"tabs and spaces":    {"\ta  \n ", []string{"\ta  ", " "}},
		"invalid UTF-8, NUL": {"\xff\x00\xfe\n", []string{"\xff\x00\xfe"}},
		"exactly the limit":  {strings.Repeat("x", 16) + "\r\n", []string{strings.Repeat("x", 16)}},
		"one over the limit": {"a\n" + strings.Repeat("x", 17) + "\nb\n", []string{"a", "!", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := readLines(t, strings.NewReader(c.in), 16)
			require.Equal(t, c.want, got)
			got, _ = readLines(t, iotest.OneByteReader(strings.NewReader(c.in)), 16)
			require.Equal(t, c.want, got)
		})
	}
}

func TestLineReaderTellsTheSizeOfWhatItDoesNotKeep(t *testing.T) {
	const size = 300 << 20
	in := io.MultiReader(io.LimitReader(zeros{}, size), strings.NewReader("\r\nnext"))
	lines := newLineReader(in, 1<<10)
	l, err := lines.next()
	require.NoError(t, err)
	require.Nil(t, l.text)
	require.EqualValues(t, size, l.size)
	require.LessOrEqual(t, cap(lines.buf), 4<<10)
	l, err = lines.next()
	require.NoError(t, err)
	require.Equal(t, "next", string(l.text))
	require.EqualValues(t, 2, l.number)
}

func TestLineReaderKeepsLinesLongerThanItsBuffer(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 40_000) // 640,000 bytes
	for _, terminator := range []string{"\n", "\r\n", ""} {
		got, sizes := readLines(t, strings.NewReader(long+terminator), 1<<20)
		require.Equal(t, []string{long}, got)
		require.Equal(t, []int64{int64(len(long))}, sizes)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzLineReader(f *testing.F) {
	f.Add([]byte("a\r\nb\n\n\rc"), 3)
	f.Add([]byte("\r\r\n\n"), 0)
	f.Fuzz(func(t *testing.T, in []byte, longest int) {
		longest = min(max(longest, 1), 1<<16)
		var want []string
		rest := in
		for len(rest) > 0 {
			l, after, found := bytes.Cut(rest, []byte("\n"))
			if rest = after; found {
				l = bytes.TrimSuffix(l, []byte("\r"))
			}
			if len(l) > longest {
				l = []byte("!")
			}
			want = append(want, string(l))
		}
		got, _ := readLines(t, bytes.NewReader(in), longest)
		require.Equal(t, want, got)
	})
}
