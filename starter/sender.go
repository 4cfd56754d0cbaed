package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/ai-backlog/ingest/client"
	"github.com/ai-backlog/ingest/record"
)

const (
	// watchEvery is how often it is looked whether the servers still answer.
	watchEvery = 200 * time.Millisecond
	// closing is how long it may take in the end, with --fallback, to store in
	// ClickHouse what Kafka has left unanswered.
	closing = 10 * time.Second
)

// errSilence says that everything pending was left unanswered for the patience.
var errSilence = errors.New("no acknowledgement")

// counts is what became of the lines, beside what the client counts.
type counts struct {
	skipped  atomic.Int64 // empty lines
	replaced atomic.Int64 // with U+FFFD for bytes that are not UTF-8
	refused  atomic.Int64 // over the topic's limit: not sent
	untimed  atomic.Int64 // with the time of sending
}

// sender reads lines and has the client store them as records.
type sender struct {
	cfg      client.Config
	client   *client.Client
	kind     record.Kind
	patience time.Duration // how long everything may be left unanswered
	encoding encoding
	key      string // of all records; empty: the file's name
	terminal *terminal
	stdin    io.Reader
	counts   counts
}

// open makes the client, which tells the sender and the terminal what happens
// later.
func (s *sender) open() (err error) {
	s.cfg.Logger = slog.New(slog.NewTextHandler(s.terminal, nil))
	s.cfg.OnRefused = s.refusedLater
	s.client, err = client.New(s.cfg)
	return err
}

// abandon ends a client that has nothing to store any more.
func (s *sender) abandon(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_ = s.client.Close(ctx)
}

// fallback tells whether there is another way than Kafka.
func (s *sender) fallback() bool { return s.cfg.FallbackAfter > 0 }

func (s *sender) topic() string { return s.cfg.Topics.Of(s.kind) }

// run sends the files and waits for the acknowledgements. What was read when
// ctx ends is still sent; only the servers' silence, or a refusal that is not one
// record's, gives up what is pending.
func (s *sender) run(ctx context.Context, files []string) error {
	patient, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	go func() {
		if err := s.watch(patient); err != nil {
			giveUp(err)
		}
	}()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(patient, stop)

	read := make(chan error, 1) // a read of standard input cannot be interrupted
	go func() { read <- s.readAll(reading, files) }()
	var err error
	select {
	case err = <-read:
	case <-reading.Done():
		err = errInterrupted
	}
	left := s.finish(patient)
	if cause := context.Cause(patient); cause != nil && (left != nil || errors.Is(err, errInterrupted)) {
		if errors.Is(cause, errSilence) { // why is known best now
			cause = s.away(cause)
		}
		return cause
	}
	if err == nil {
		err = left
	}
	return err
}

// watch returns with an error when everything that is pending was left
// unanswered for the patience, or Kafka refuses it and there is no other way;
// and when ctx ends.
func (s *sender) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	answered, settled := time.Now(), int64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			st := s.client.Stats()
			if n := st.Sent + st.Direct + st.Marked + st.Dropped; n != settled || st.Buffered == 0 {
				answered, settled = now, n
			}
			if err, _ := s.client.Problems(); refusal(err) && !s.fallback() {
				return s.refusal(err)
			}
			if now.Sub(answered) > s.patience {
				return errSilence
			}
		}
	}
}

// finish waits until everything is stored. What is not when ctx ends still is, if
// there is another way.
func (s *sender) finish(ctx context.Context) error {
	err := s.client.Flush(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	if err != nil && !s.fallback() {
		cancel()
	}
	return s.client.Close(last)
}

func (s *sender) readAll(ctx context.Context, files []string) error {
	for _, name := range files {
		if err := s.readFile(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) readFile(ctx context.Context, name string) error {
	in := s.stdin
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // G304: the files that the user names
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}
	lines := newLineReader(in, s.client.Limit(s.kind))
	for ctx.Err() == nil {
		l, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s after line %d: %w", name, lines.number, err)
		}
		if err := s.sendLine(ctx, name, l); err != nil {
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

func (s *sender) sendLine(ctx context.Context, file string, l line) error {
	if l.size == 0 {
		s.counts.skipped.Add(1)
		return nil
	}
	if l.text == nil {
		s.refuse(file, l.number, l.size, &client.TooLargeError{Size: int(l.size), Limit: s.client.Limit(s.kind), Topic: s.topic()})
		return nil
	}
	r, err := s.encoding.encode(file, l)
	if err != nil {
		return fmt.Errorf("encode line %d of %s: %w", l.number, file, err)
	}
	err = s.client.StoreJSON(ctx, s.kind, cmp.Or(s.key, file), r.value)
	if _, large := errors.AsType[*client.TooLargeError](err); large {
		s.refuse(file, l.number, l.size, err)
		return nil
	}
	if err != nil { // it was not accepted: ctx ended while the buffer was full
		return errInterrupted
	}
	if r.replaced {
		s.counts.replaced.Add(1)
	}
	if r.untimed {
		s.counts.untimed.Add(1)
	}
	return nil
}

func (s *sender) refuse(file string, number, size int64, err error) {
	s.counts.refused.Add(1)
	s.terminal.println(fmt.Sprintf("%s line %d (%d bytes): refused: %v", file, number, size, err))
}

// refusedLater is told of a line that Kafka finds too large though its limit, as
// far as it could be asked for, allowed it. A line that is a record already is
// named by how it begins.
func (s *sender) refusedLater(_ record.Kind, value []byte, err error) {
	var r logRecord
	if !s.encoding.asIs && json.Unmarshal(value, &r) == nil {
		s.refuse(r.Attributes.File, r.Attributes.Line, int64(len(r.Message)), err)
		return
	}
	s.counts.refused.Add(1)
	s.terminal.println(fmt.Sprintf("a line that begins with %.60q (%d bytes): refused: %v", value, len(value), err))
}

// summary is the one line of counts.
func (s *sender) summary() string {
	st := s.client.Stats()
	out := fmt.Sprintf("sent %d, skipped %d, replaced %d, refused %d", st.Sent, s.counts.skipped.Load(), s.counts.replaced.Load(), s.counts.refused.Load())
	if s.encoding.clock.layout != "" {
		out += fmt.Sprintf(", without a time %d", s.counts.untimed.Load())
	}
	if s.fallback() {
		out += fmt.Sprintf(", straight to ClickHouse %d", st.Direct)
	}
	if st.Marked > 0 {
		out += fmt.Sprintf(", stored marked %d (Kafka may have them too: starter audit resolves that)", st.Marked)
	}
	return out
}
