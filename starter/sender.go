package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// counts is what became of the lines. Sent means acknowledged.
type counts struct {
	skipped  atomic.Int64 // empty lines
	replaced atomic.Int64 // sent with U+FFFD for bytes that are not UTF-8
	refused  atomic.Int64 // over the topic's limit: not sent
	untimed  atomic.Int64 // sent with the time of sending
}

// sender reads lines and hands them to the producer as records.
type sender struct {
	producer *producer
	encoding encoding
	key      string // of all records; empty: the file's name
	terminal *terminal
	stdin    io.Reader
	counts   counts
}

// run sends the files and waits for the acknowledgements. What was read when
// ctx ends is still sent; only Kafka's silence, or a refusal that is not one
// record's, gives up what is pending.
func (s *sender) run(ctx context.Context, files []string) error {
	patient, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	go func() {
		if err := s.producer.watch(patient); err != nil {
			giveUp(err)
		}
	}()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(patient, stop)

	read := make(chan error, 1) // a read of standard input cannot be interrupted
	go func() { read <- s.readAll(reading, files, giveUp) }()
	var err error
	select {
	case err = <-read:
	case <-reading.Done():
		err = errInterrupted
	}
	if flushErr := s.producer.flush(patient); flushErr != nil {
		err = context.Cause(patient)
	} else if cause := context.Cause(patient); cause != nil {
		err = cause
	}
	return err
}

func (s *sender) readAll(ctx context.Context, files []string, giveUp context.CancelCauseFunc) error {
	for _, name := range files {
		if err := s.readFile(ctx, name, giveUp); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) readFile(ctx context.Context, name string, giveUp context.CancelCauseFunc) error {
	in := s.stdin
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // G304: the files that the user names
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}
	lines := newLineReader(in, int(s.producer.limit.Load()))
	for ctx.Err() == nil {
		l, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s after line %d: %w", name, lines.number, err)
		}
		if err := s.sendLine(ctx, name, l, giveUp); err != nil {
			return err
		}
		s.terminal.at(lines)
	}
	s.terminal.end(lines)
	if ctx.Err() != nil {
		return errInterrupted
	}
	return nil
}

func (s *sender) sendLine(ctx context.Context, file string, l line, giveUp context.CancelCauseFunc) error {
	if l.size == 0 {
		s.counts.skipped.Add(1)
		return nil
	}
	if l.text == nil {
		s.refuse(file, l.number, l.size, s.producer.tooLarge())
		return nil
	}
	r, err := s.encoding.encode(file, l)
	if err != nil {
		return fmt.Errorf("encode line %d of %s: %w", l.number, file, err)
	}
	s.producer.send(ctx, cmp.Or(s.key, file), r.value, func(err error) {
		switch {
		case err == nil:
			if r.replaced {
				s.counts.replaced.Add(1)
			}
			if r.untimed {
				s.counts.untimed.Add(1)
			}
		case errors.Is(err, errTooLarge):
			s.refuse(file, l.number, l.size, err)
		case errors.Is(err, context.Canceled): // it was never handed over
		default:
			giveUp(err)
		}
	})
	return nil
}

func (s *sender) refuse(file string, number, size int64, err error) {
	s.counts.refused.Add(1)
	s.terminal.println(fmt.Sprintf("%s line %d (%d bytes): refused: %v", file, number, size, err))
}

// summary is the one line of counts.
func (s *sender) summary() string {
	out := fmt.Sprintf("sent %d, skipped %d, replaced %d, refused %d",
		s.producer.acked.Load(), s.counts.skipped.Load(), s.counts.replaced.Load(), s.counts.refused.Load())
	if s.encoding.clock.layout != "" {
		out += fmt.Sprintf(", without a time %d", s.counts.untimed.Load())
	}
	return out
}
