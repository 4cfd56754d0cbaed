package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"time"
)

// Expiry says which rows a table drops by itself. The zero Expiry drops none.
type Expiry struct {
	// Clause is the table's TTL as the server prints it, without the word.
	Clause string
	// Known says whether Due can tell. If not, the clause is none of those that
	// depend on the column timestamp and an interval only.
	Known bool

	cutoff time.Time // by the server's clock, when it was asked
	wraps  bool      // the clause converts to DateTime
}

// Due tells whether the table drops a row of that timestamp, now or before.
func (e Expiry) Due(timestamp time.Time) bool {
	if !e.Known || e.Clause == "" {
		return false
	}
	if e.wraps { // toDateTime keeps 32 bits of seconds, and the server drops rows by what is left of them
		timestamp = time.Unix(int64(uint32(timestamp.Unix())), 0) //nolint:gosec // the overflow is meant
	}
	return !timestamp.After(e.cutoff)
}

var (
	ttlClause = regexp.MustCompile(`\bTTL (.+?)(?: SETTINGS |$)`)
	// ttlKnown is an interval after the record's time, to the second or in full.
	ttlKnown = regexp.MustCompile(`^(toDateTime\(timestamp\)|timestamp) \+ (toInterval(?:Second|Minute|Hour|Day|Week|Month|Quarter|Year)\(\d+\))$`)
)

// Expiry asks for the table's TTL. Errors are *Failure.
func (l *Looker) Expiry(ctx context.Context, table string) (e Expiry, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var engine string
	err = l.conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?", table).Scan(&engine)
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // who reads the rows tells that the table is missing
		return e, Wrap(err, "read the expiry of %s", table)
	}
	m := ttlClause.FindStringSubmatch(engine)
	if m == nil {
		return Expiry{Known: true}, nil
	}
	e.Clause = m[1]
	known := ttlKnown.FindStringSubmatch(e.Clause)
	if known == nil {
		return e, nil
	}
	e.Known, e.wraps = true, known[1] != "timestamp"
	if err := l.conn.QueryRow(ctx, "SELECT now() - "+known[2]).Scan(&e.cutoff); err != nil {
		return e, Wrap(err, "read the clock")
	}
	return e, nil
}
