package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// tables are those that batches are inserted into.
var tables = []string{"logs", "metrics", "events", "dead_letters"}

// ClickHouse's codes of the errors that the faults make.
const (
	memoryLimitExceeded = 241
	notEnoughSpace      = 243
	tooManyParts        = 252
)

// database is what ClickHouse does to inserts while it lives.
func database() []Fault {
	return []Fault{
		{
			Name: "disk-full", Claims: []string{clickhouse}, What: "the tables' min_free_disk_bytes_to_perform_insert is more than any disk has: inserts get NOT_ENOUGH_SPACE (243)",
			Inject: func(ctx context.Context, t *Target, _ *rand.Rand) (*Injection, error) {
				return t.settings(ctx, t.refused(notEnoughSpace), []string{"min_free_disk_bytes_to_perform_insert = 1000000000000000"})
			},
		},
		{
			Name: "too-many-parts", Claims: []string{clickhouse}, What: "merges are stopped, and one part of a partition is one too many (parts_to_throw_insert): inserts get TOO_MANY_PARTS (252)",
			Inject: func(ctx context.Context, t *Target, _ *rand.Rand) (*Injection, error) {
				i, err := t.settings(ctx, t.refused(tooManyParts), []string{"parts_to_throw_insert = 1"}, "SYSTEM START MERGES")
				return i, errors.Join(err, t.DB.Exec(ctx, "SYSTEM STOP MERGES"))
			},
		},
		{
			Name: "memory-limit", Claims: []string{clickhouse}, What: "a table in memory takes all that the server may have: inserts get MEMORY_LIMIT_EXCEEDED (241)",
			Inject: hoard,
		},
		{
			Name: "locked-table", Claims: []string{clickhouse}, What: "a mutation goes through every table, and each insert waits for 2 to 20 s as for merges that do not keep up (parts_to_delay_insert, min_delay_to_insert_ms)",
			Inject: mutate,
		},
	}
}

// settings changes settings of every table, and takes back those and what else was done.
func (t *Target) settings(ctx context.Context, felt func(context.Context) (int64, error), set []string, undo ...string) (*Injection, error) {
	var names, statements []string
	for _, s := range set {
		name, _, _ := strings.Cut(s, " ")
		names = append(names, name)
	}
	for _, table := range tables {
		statements = append(statements, "ALTER TABLE "+table+" MODIFY SETTING "+strings.Join(set, ", "))
		undo = append(undo, "ALTER TABLE "+table+" RESET SETTING "+strings.Join(names, ", "))
	}
	i := &Injection{Heal: func(ctx context.Context) error { return t.all(ctx, undo) }}
	before, err := felt(ctx)
	i.Felt = func(ctx context.Context) (int64, error) {
		n, err := felt(ctx)
		return n - before, err
	}
	if err != nil {
		return i, err
	}
	return i, t.all(ctx, statements)
}

// all executes every statement, also those behind one that failed.
func (t *Target) all(ctx context.Context, statements []string) error {
	var errs []error
	for _, sql := range statements {
		if err := t.DB.Exec(ctx, sql); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", sql, err))
		}
	}
	return errors.Join(errs...)
}

// refused is how often the server has answered with the error since it was started.
func (t *Target) refused(code int32) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		return t.number(ctx, "SELECT sum(value) FROM system.errors WHERE code = ? AND NOT remote", code)
	}
}

func (t *Target) number(ctx context.Context, sql string, args ...any) (int64, error) {
	var n uint64
	err := t.DB.QueryRow(ctx, sql, args...).Scan(&n)
	return int64(n), err //nolint:gosec // far below 2^63
}

// mutate makes inserts wait. In ClickHouse a mutation alone does not lock a table for them: what makes them wait is that parts
// are not merged meanwhile.
func mutate(ctx context.Context, t *Target, rng *rand.Rand) (*Injection, error) {
	seconds := 2 + rng.IntN(19)
	delayed := func(ctx context.Context) (int64, error) {
		return t.number(ctx, "SELECT sum(value) FROM system.events WHERE event = 'DelayedInserts'")
	}
	i, err := t.settings(ctx, delayed, []string{
		"parts_to_delay_insert = 1", fmt.Sprintf("max_delay_to_insert = %d", seconds), fmt.Sprintf("min_delay_to_insert_ms = %d", seconds*1000),
	}, "KILL MUTATION WHERE database = currentDatabase() AND command LIKE '%sleepEachRow%' SYNC")
	i.Where = fmt.Sprintf("%d s", seconds)
	for _, table := range []string{"logs", "metrics", "events"} {
		err = errors.Join(err, t.DB.Exec(ctx, "ALTER TABLE "+table+" UPDATE agent_id = agent_id WHERE sleepEachRow(0.00003) = 0"))
	}
	return i, err
}

// hoard fills the server's memory, and what others give back of it, again and again.
func hoard(ctx context.Context, t *Target, _ *rand.Rand) (*Injection, error) {
	refused := t.refused(memoryLimitExceeded)
	before, err := refused(ctx)
	if err != nil {
		return nil, err
	}
	var own atomic.Int64 // refusals of the hoard itself
	filling, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	i := &Injection{
		Heal: func(ctx context.Context) error {
			stop()
			<-done
			return t.all(ctx, []string{"DROP TABLE IF EXISTS hoard SYNC"})
		},
		Felt: func(ctx context.Context) (int64, error) {
			n, err := refused(ctx)
			return n - before - own.Load() - 1, err // one of the hoard's may not be counted yet
		},
	}
	free, err := t.number(ctx, `SELECT toUInt64(greatest(0, (SELECT toInt64(value) FROM system.server_settings WHERE name = 'max_server_memory_usage')
		- (SELECT value FROM system.metrics WHERE metric = 'MemoryTracking')) DIV 1000000)`)
	if err == nil {
		err = t.all(ctx, []string{"CREATE TABLE hoard (s String) ENGINE = Memory"})
	}
	go func() {
		defer close(done)
		for megabytes := free - 64; filling.Err() == nil && err == nil; megabytes = 2 {
			if bad := t.grow(filling, megabytes); isRefused(bad) {
				own.Add(1)
			}
			pause(filling, 20*time.Millisecond)
		}
	}()
	return i, err
}

// grow adds so many megabytes to the hoard.
func (t *Target) grow(ctx context.Context, megabytes int64) error {
	if megabytes <= 0 {
		return nil
	}
	return t.DB.Exec(ctx, "INSERT INTO hoard SELECT repeat('x', 1000000) FROM numbers(?) SETTINGS max_block_size = 4, max_threads = 1, min_insert_block_size_rows = 1, max_untracked_memory = 0", megabytes)
}

func isRefused(err error) bool {
	var e *driver.Exception
	return errors.As(err, &e) && e.Code == memoryLimitExceeded
}
