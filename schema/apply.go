package schema

import (
	"context"
	"fmt"
	"strconv"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/ai-backlog/ingest/clickhouse"
)

// Options say where the tables are, and how long rows are kept.
type Options struct {
	Database string
	// Cluster is where the tables live as replicas of each other; empty: on one server.
	Cluster string
	// TTLDays is after how many days of their timestamp logs, metrics and events
	// are deleted; 0 leaves the tables' expiry as it is, at first: never. Dead
	// letters do not expire.
	TTLDays int
}

const accessDenied = 497

// Apply makes sure that the tables are there. It is safe to run again and by
// many at once, and creates the database unless it may not. It changes no table
// that is there, but for the expiry when TTLDays asks for another: one that
// does not fit is a *MismatchError, and tables that an administrator created
// need no grant to create. Errors of the server are *clickhouse.Failure.
func Apply(ctx context.Context, conn driver.Conn, o Options) error {
	a := applier{conn: conn, Options: o}
	if o.Cluster != "" {
		ctx = clickhouse.OnCluster(ctx)
	}
	have, err := a.tables(ctx)
	if err != nil {
		return err
	}
	if err := mismatch(o.Database, have, false); err != nil {
		return err
	}
	if err := a.cluster(ctx, have); err != nil {
		return err
	}
	denied := a.migrate(ctx, have)
	if denied != nil && clickhouse.Classify(denied).Code != accessDenied {
		return denied
	}
	if have, err = a.tables(ctx); err != nil {
		return err
	}
	if err := a.complete(have); err != nil {
		if denied != nil { // the missing grant is the cause
			return denied
		}
		return err
	}
	if err := a.most(ctx); err != nil {
		return err
	}
	return a.expire(ctx, have)
}

// applier is one run of Apply.
type applier struct {
	conn driver.Conn
	Options
}

func (a applier) exec(ctx context.Context, sql, doing string, args ...any) error {
	if err := a.conn.Exec(ctx, sql); err != nil {
		return clickhouse.Wrap(err, doing, args...)
	}
	return nil
}

// migrate runs what is not recorded as applied; everything, if a table is
// missing: it was dropped.
func (a applier) migrate(ctx context.Context, have map[string]found) error {
	at := layoutOf(a.Options)
	all, err := migrations(at)
	if err != nil {
		return err
	}
	applied, err := a.applied(ctx, have)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if _, ok := have[t.name]; !ok {
			clear(applied)
		}
	}
	if len(applied) == len(all) {
		return nil
	}
	if len(have) == 0 {
		if err := a.createDatabase(ctx); err != nil {
			return err
		}
	}
	if err := a.createRecords(ctx, at, have); err != nil {
		return err
	}
	for _, m := range all {
		if applied[m.number] {
			continue
		}
		if err := a.run(ctx, m, have); err != nil {
			return err
		}
		if err := a.record(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// run applies the migration. On a cluster one whose table is there is not sent again: each try would stay in the cluster's queue for a week.
func (a applier) run(ctx context.Context, m migration, have map[string]found) error {
	if _, there := have[m.name]; there && a.Cluster != "" { // one with a table's name creates it, and does nothing else
		return nil
	}
	return a.exec(ctx, m.sql, "apply migration %d (%s) to %s", m.number, m.name, a.Database)
}

func (a applier) createRecords(ctx context.Context, at layout, have map[string]found) error {
	if _, there := have[records]; there && a.Cluster != "" {
		return nil
	}
	if err := a.exec(ctx, at.records(), "create table %s.%s", a.Database, records); err != nil || a.Cluster == "" {
		return err
	}
	have, err := a.tables(ctx)
	if _, there := have[records]; err == nil && !there {
		return a.missing(records)
	}
	return err
}

// records is the table of applied migrations.
const records = "ingest_migrations"

func (l layout) records() string {
	return "CREATE TABLE IF NOT EXISTS " + l.Database + "." + records + l.OnCluster + " (version UInt32, name String, at DateTime64(3, 'UTC') DEFAULT now64(3)) " +
		"ENGINE = " + l.MergeTree + " ORDER BY version SETTINGS " + l.Window
}

// record is exact by its token, whoever runs it.
func (a applier) record(ctx context.Context, m migration) error {
	ctx = chgo.Context(ctx, chgo.WithSettings(chgo.Settings{"insert_deduplication_token": "migration/" + strconv.Itoa(int(m.number)), "async_insert": 0}))
	return a.exec(ctx, fmt.Sprintf("INSERT INTO %s.%s (version, name) VALUES (%d, '%s')", clickhouse.Quote(a.Database), records, m.number, m.name),
		"record migration %d", m.number)
}

func (a applier) applied(ctx context.Context, have map[string]found) (map[uint32]bool, error) {
	out := map[uint32]bool{}
	if _, ok := have[records]; !ok {
		return out, nil
	}
	var numbers []uint32
	if err := a.conn.QueryRow(ctx, "SELECT groupUniqArray(version) FROM "+clickhouse.Quote(a.Database)+"."+records).Scan(&numbers); err != nil {
		return nil, clickhouse.Wrap(err, "read the applied migrations of %s", a.Database)
	}
	for _, n := range numbers {
		out[n] = true
	}
	return out, nil
}

// createDatabase needs its grant only if the database is missing.
func (a applier) createDatabase(ctx context.Context) error {
	var n uint64
	if err := a.conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = ?", a.Database).Scan(&n); err != nil {
		return clickhouse.Wrap(err, "look for database %s", a.Database)
	}
	if n > 0 {
		return nil
	}
	return a.exec(ctx, clickhouse.CreateDatabaseSQL(a.Database, a.Cluster), "create database %s", a.Database)
}
