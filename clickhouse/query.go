package clickhouse

import (
	"context"
	"database/sql"
	"errors"
)

// Query is for questions about one table beside those of a look, and sees what a look sees: every insert into it that was acknowledged
// before, on any replica of the cluster that is configured. A replica that cannot get them is an error, never a shorter answer. Errors
// are the driver's, for the caller to wrap.
func (l *Looker) Query(ctx context.Context, table, question string, args ...any) (Rows, error) {
	if l.replicas == nil {
		return l.conn.Query(ctx, question, args...)
	}
	conn, err := l.replicas.conn(ctx, table)
	if err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, question, args...) //nolint:rowserrcheck // by who asked
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &connRows{rows, conn}, nil
}

// Count is Query for a question whose answer is one number.
func (l *Looker) Count(ctx context.Context, table, question string, args ...any) (n uint64, err error) {
	rows, err := l.Query(ctx, table, question, args...)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}

// connRows are the rows of an answer, and the connection that it comes on.
type connRows struct {
	*sql.Rows
	conn *sql.Conn
}

func (r *connRows) Close() error { return errors.Join(r.Rows.Close(), r.conn.Close()) }
