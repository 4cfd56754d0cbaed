package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// SyncTimeout is how long a replica may take to get what others have, before a look gives up on it for now.
const SyncTimeout = 20 * time.Second

// Rows is an answer, of either of the driver's interfaces. Close it: it holds a connection.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// asker puts one question to the server.
type asker func(ctx context.Context, sql string, args ...any) (Rows, error)

// pool asks the connection that is free.
func pool(conn driver.Conn) asker {
	return func(ctx context.Context, sql string, args ...any) (Rows, error) { return conn.Query(ctx, sql, args...) }
}

// replicas are the servers of a cluster, to which questions are put that must see what any of them has acknowledged.
type replicas struct {
	db           *sql.DB
	ready, level func(table string) string // the statements that bring one replica, and all, up to date
}

func newReplicas(c Config) (*replicas, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	db := clickhouse.OpenDB(o)
	db.SetMaxOpenConns(maxQueries)
	db.SetConnMaxLifetime(connLife)
	return &replicas{db, func(table string) string { return syncOne(c, table) }, func(table string) string { return syncAll(c, table) }}, nil
}

func syncOne(c Config, table string) string {
	return "SYSTEM SYNC REPLICA " + Quote(c.Database) + "." + Quote(table) + " LIGHTWEIGHT"
}

func syncAll(c Config, table string) string {
	return "SYSTEM SYNC REPLICA ON CLUSTER " + Quote(c.Cluster) + " " + Quote(c.Database) + "." + Quote(table)
}

// with has the questions asked on one connection, and so of one replica, whatever stands between: after it has got every part that was
// committed to the table before, by whichever replica. One that cannot get them is an error, never a shorter answer.
func (r *replicas) with(ctx context.Context, table string, questions func(asker) error) error {
	conn, err := r.conn(ctx, table)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return questions(func(ctx context.Context, sql string, args ...any) (Rows, error) {
		return conn.QueryContext(ctx, sql, args...) //nolint:rowserrcheck,sqlclosecheck // by who asked
	})
}

// conn is a connection to a replica that is ready to be asked about the table.
func (r *replicas) conn(ctx context.Context, table string) (*sql.Conn, error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	limited := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"receive_timeout": int(SyncTimeout.Seconds())}))
	if _, err := conn.ExecContext(limited, r.ready(table)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// QuorumTimeout is how long an insert waits for its quorum, in each partition of the table that it touches: these come in turn, and the
// server heeds no other limit meanwhile. Six of them fit into the insert's own time; a block is of one or two.
const QuorumTimeout = 10 * time.Second

// quorum has an insert acknowledged when most replicas have it, so that it outlives the others; whatever the user's profile says, beside
// other inserts. The wait for it ends with the insert's time: else the server would hold on to the query's ID, and refuse the resend.
func (c Config) quorum(left time.Duration) []ch.Setting {
	if c.Cluster == "" {
		return nil
	}
	return []ch.Setting{
		{Key: "insert_quorum", Value: "auto", Important: true},
		{Key: "insert_quorum_parallel", Value: "1", Important: true},
		{Key: "insert_quorum_timeout", Value: strconv.FormatInt(min(left, QuorumTimeout).Milliseconds(), 10), Important: true},
	}
}

// Level has every replica of the cluster have all that any of them has of the tables, mutations too, so that it does not matter which is
// asked next; for what is rare. It fails while one of them is away. Without CLICKHOUSE_CLUSTER there is nothing to do. Errors are *Failure.
func (l *Looker) Level(ctx context.Context, tables ...string) error {
	if l.replicas == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	ctx = onEvery(ctx, auditTimeout/2)
	for _, t := range tables {
		if err := l.conn.Exec(ctx, l.replicas.level(t)); err != nil {
			return Wrap(err, "have all replicas of %s get what the others have", t)
		}
	}
	return nil
}
