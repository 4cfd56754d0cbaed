package main

import (
	"bufio"
	"errors"
	"io"
)

// line is one line of a file, without its terminator.
type line struct {
	number int64  // from 1, as editors count
	size   int64  // bytes
	text   []byte // valid until the next call; nil if size is over the reader's max
}

// lineReader cuts a stream at LF or CRLF; a CR elsewhere belongs to the line.
// Lines may be of any length: one over max is read to its end, to tell its
// size, but never kept, so memory is bounded by max.
type lineReader struct {
	r      *bufio.Reader
	max    int
	buf    []byte
	number int64
	offset int64 // bytes read, terminators included
}

func newLineReader(r io.Reader, longest int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), max: longest}
}

// next returns io.EOF after the last line, which needs no terminator.
func (l *lineReader) next() (line, error) {
	l.buf = l.buf[:0]
	var size int64
	var cr, lf bool // what the bytes before here end with
	for {
		chunk, err := l.r.ReadSlice('\n')
		if n := len(chunk); n > 0 {
			size += int64(n)
			if lf = chunk[n-1] == '\n'; lf {
				chunk = chunk[:n-1]
			}
			if m := len(chunk); m > 0 {
				cr = chunk[m-1] == '\r'
			}
			l.buf = append(l.buf, chunk[:min(len(chunk), l.max+1-len(l.buf))]...)
		}
		if err == nil {
			break
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if !errors.Is(err, io.EOF) || size == 0 {
			return line{}, err
		}
		break
	}
	l.number++
	l.offset += size
	if lf {
		size--
		if cr {
			size--
		}
	}
	if size > int64(l.max) {
		return line{number: l.number, size: size}, nil
	}
	return line{number: l.number, size: size, text: l.buf[:size]}, nil
}
