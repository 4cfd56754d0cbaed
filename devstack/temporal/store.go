//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/config"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	clusterName = "active"
	namespace   = "default"
)

// searchAttributes are those the ingest sets on its workflows. They are made with the namespace, because one that is added
// later takes seconds until a start may name it.
func searchAttributes() map[string]enumspb.IndexedValueType {
	return map[string]enumspb.IndexedValueType{
		"IngestTopic":       enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"IngestState":       enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"IngestError":       enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"IngestRecords":     enumspb.INDEXED_VALUE_TYPE_INT,
		"IngestDeadLetters": enumspb.INDEXED_VALUE_TYPE_INT,
	}
}

// openStore answers how to reach the SQLite file, and makes the file if there is none. A SIGKILL while it is made leaves
// no half-made file behind: it gets its name last.
func openStore(o options) (*config.SQL, error) {
	if err := os.MkdirAll(o.dir, 0o750); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	file := filepath.Join(o.dir, "temporal.db")
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(file, o)
	}
	if err != nil {
		return nil, fmt.Errorf("data file: %w", err)
	}
	// synchronous=1 loses no committed transaction at SIGKILL, only at a power cut, and halves the time of a workflow.
	return sqlite3(file, map[string]string{"journal_mode": "wal", "synchronous": "1", "busy_timeout": "10000"}), nil
}

func create(file string, o options) error {
	draft := file + ".new"
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.Remove(draft + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// synchronous=0: there is nothing to lose before the rename.
	sql := sqlite3(draft, map[string]string{"synchronous": "0"})
	if err := sqlite.SetupSchema(sql); err != nil {
		return fmt.Errorf("set up schema: %w", err)
	}
	ns, err := sqlite.NewNamespaceConfig(clusterName, namespace, false, searchAttributes())
	if err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	ns.Detail.Config.Retention = durationpb.New(o.retention)
	if err := sqlite.CreateNamespaces(sql, ns); err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	return os.Rename(draft, file)
}

func sqlite3(file string, pragmas map[string]string) *config.SQL {
	attributes := map[string]string{"mode": "rwc"}
	maps.Copy(attributes, pragmas)
	return &config.SQL{PluginName: sqliteplugin.PluginName, DatabaseName: file, ConnectAttributes: attributes}
}
