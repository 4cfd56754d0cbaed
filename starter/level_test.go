package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLevelIsReadWhereItIsPlainToSee(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-02 03:04:05 ERROR disk full":             "ERROR",
		"2026-01-02T03:04:05Z [warn] slow":                "WARN",
		"<Warning> slow":                                  "WARN",
		"Dec 10 06:55:46 host sshd[7]: error: no such":    "ERROR",
		"fatal: not a git repository":                     "FATAL",
		"ts=1 level=debug msg=x":                          "DEBUG",
		`{"level":"info","msg":"x"}`:                      "INFO",
		`{"severity": "CRITICAL"}`:                        "FATAL",
		"[Sun Dec 04 04:47:44 2005] [notice] ok":          "INFO",
		"TRACE":                                           "TRACE",
		"INFO: an ERROR was handled":                      "INFO",
		"a line with an error in its words":               "",
		"no information":                                  "",
		"ERROR_CODE 7, INFORMATION, MYERROR":              "",
		"level of info is low":                            "",
		"":                                                "",
		"\xff\xfe ERROR":                                  "ERROR",
		"äERROR is one word":                              "",
		strings.Repeat("x ", levelHead/2) + "ERROR":       "",
		strings.Repeat("x ", levelHead/2-1) + "ERROR ok":  "ERROR",
		strings.Repeat("x ", levelHead/2-1) + "ERRORS ok": "",
	} {
		got, ok := levelOf([]byte(text))
		require.Equal(t, want, got, "%q", text)
		require.Equal(t, want != "", ok, "%q", text)
	}
}

// loghub opens a file of real log lines, which are not part of the project.
func loghub(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("LOGHUB")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data", "loghub")
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		t.Skipf("no real log lines: set LOGHUB to a directory that holds loghub's %s", name)
	}
	return file
}

func TestLevelsOfRealLogs(t *testing.T) {
	for name, want := range map[string]map[string]int{
		"Apache.log":    {"INFO": 1405, "ERROR": 595},
		"HDFS.log":      {"INFO": 1920, "WARN": 80},
		"OpenStack.log": {"INFO": 1969, "WARN": 31},
		"Spark.log":     {"INFO": 2000},
		"Zookeeper.log": {"INFO": 669, "WARN": 1318, "ERROR": 13},
		"OpenSSH.log":   {"": 1952, "ERROR": 47, "FATAL": 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(loghub(t, name))
			require.NoError(t, err)
			defer func() { require.NoError(t, f.Close()) }()
			got := map[string]int{}
			lines := newLineReader(f, 1<<20)
			for {
				l, err := lines.next()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				level, _ := levelOf(l.text)
				got[level]++
			}
			require.Equal(t, want, got)
		})
	}
}
