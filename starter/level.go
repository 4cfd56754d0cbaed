package main

import (
	"bytes"
	"strings"
)

// levelHead is how far into a line a level is looked for: behind time, host and
// process, before the message, whose words mean other things.
const levelHead = 128

// levels are the words that name a level, and the level that is sent.
var levels = map[string]string{
	"TRACE": "TRACE", "DEBUG": "DEBUG", "INFO": "INFO", "NOTICE": "INFO", "WARN": "WARN", "WARNING": "WARN",
	"ERROR": "ERROR", "ERR": "ERROR", "FATAL": "FATAL", "CRITICAL": "FATAL", "CRIT": "FATAL", "ALERT": "FATAL", "EMERG": "FATAL", "PANIC": "FATAL",
}

// levelOf reads the level where it is plain to see in the head of a line. The
// first of these counts:
//
//	2026-01-02 ERROR disk full      a whole word in capitals
//	[error] disk full               in brackets: [ ] or < >, any case
//	sshd[7]: error: disk full       after a space or at the start, before a colon
//	level=error, "level":"error"    as the value of level, lvl or severity
func levelOf(text []byte) (string, bool) {
	head := text[:min(len(text), levelHead)]
	for i := 0; i < len(head); {
		if !isWord(head[i]) {
			i++
			continue
		}
		end := i + 1
		for end < len(text) && isWord(text[end]) {
			end++
		}
		word := string(text[i:min(end, i+len("CRITICAL")+1)])
		if level, ok := levels[strings.ToUpper(word)]; ok && (word == strings.ToUpper(word) || isMarked(text, i, end)) {
			return level, true
		}
		i = end
	}
	return "", false
}

// isMarked tells whether what surrounds text[start:end] says that it is a level.
func isMarked(text []byte, start, end int) bool {
	before, after := byte(' '), byte(' ')
	if start > 0 {
		before = text[start-1]
	}
	if end < len(text) {
		after = text[end]
	}
	switch {
	case before == '[' && after == ']', before == '<' && after == '>':
		return true
	case before == ' ' && after == ':', before == '\t' && after == ':':
		return true
	}
	key := bytes.TrimRight(text[:start], `"':= `)
	if len(key) == start { // nothing in between
		return false
	}
	sep := text[len(key):start]
	if !bytes.ContainsAny(sep, "=:") {
		return false
	}
	for _, name := range []string{"level", "lvl", "severity"} {
		if len(key) >= len(name) && strings.EqualFold(string(key[len(key)-len(name):]), name) {
			return true
		}
	}
	return false
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
