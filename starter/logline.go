package main

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// logRecord is what a line of a log file becomes.
type logRecord struct {
	Timestamp  time.Time  `json:"timestamp"`
	Level      string     `json:"level"`
	Message    string     `json:"message"`
	EventID    uuid.UUID  `json:"event_id"`
	Service    string     `json:"service,omitempty"`
	AgentID    string     `json:"agent_id,omitempty"`
	Attributes attributes `json:"attributes"`
}

// attributes say where the line stands, so that a row leads back to it.
type attributes struct {
	File        string `json:"file"`
	Line        int64  `json:"line"`
	InvalidUTF8 bool   `json:"invalid_utf8,omitempty"`
}

// encoding says how lines become record values, and counts what is odd.
type encoding struct {
	asIs    bool // NDJSON: the line is the value
	clock   clock
	level   string // where the line shows none
	service string
	agent   string
}

// encoded is a record's value and what had to be done to get it.
type encoded struct {
	value    []byte
	replaced bool // invalid UTF-8 became U+FFFD
	untimed  bool // the time could not be read: it is now
}

// encode makes the value, which is valid as long as the line.
func (e encoding) encode(file string, l line) (encoded, error) {
	if e.asIs {
		return encoded{value: l.text}, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return encoded{}, err
	}
	at, timed := e.clock.of(l.text)
	level, ok := levelOf(l.text)
	if !ok {
		level = e.level
	}
	out := encoded{replaced: !utf8.Valid(l.text), untimed: !timed}
	r := logRecord{
		Timestamp: at.UTC(), Level: level, Message: string(bytes.ToValidUTF8(l.text, []byte("\uFFFD"))),
		EventID: id, Service: e.service, AgentID: e.agent,
		Attributes: attributes{File: file, Line: l.number, InvalidUTF8: out.replaced},
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return encoded{}, err
	}
	out.value = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	return out, nil
}
