// Package clickhousetest gives tests a database on a real ClickHouse: the server
// is never mocked.
package clickhousetest

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
)

// Env names the server's native address, host:port. `make test` sets it.
const Env = "TEST_CLICKHOUSE"

// Server is how to reach the server, with a database name of this test alone,
// which is not created, but dropped when the test ends. Without a server the
// test is skipped on a laptop and fails in CI.
func Server(t testing.TB) clickhouse.Config {
	t.Helper()
	addr := os.Getenv(Env)
	if addr == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(Env + " is not set: in CI every test runs")
		}
		t.Skip(Env + " is not set: run make test")
	}
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err, Env)
	number, err := strconv.Atoi(port)
	require.NoError(t, err, Env)
	c := clickhouse.Config{Hosts: []string{host}, Port: number, User: "default", Compression: "none", Database: "test_" + strings.ToLower(rand.Text()[:12])}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		admin := c
		admin.Database = "default"
		conn, err := clickhouse.Open(admin)
		if err == nil {
			err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+clickhouse.Quote(c.Database)+" SYNC")
			_ = conn.Close()
		}
		if err != nil {
			t.Logf("drop %s: %v", c.Database, err)
		}
	})
	return c
}

// Database is Server with the database created, and a connection to it.
func Database(t testing.TB) (clickhouse.Config, driver.Conn) {
	t.Helper()
	c := Server(t)
	require.NoError(t, clickhouse.CreateDatabase(t.Context(), c))
	return c, Open(t, c)
}

// restricted is the user of the devstack's ClickHouse that may SELECT and INSERT
// only: it cannot keep users that are created.
const restricted = "restricted"

// Restricted is c as a user that may SELECT and INSERT, and nothing else.
func Restricted(t testing.TB, c clickhouse.Config, conn driver.Conn) clickhouse.Config {
	t.Helper()
	ctx := t.Context()
	c.User = c.Database + "_user"
	if err := conn.Exec(ctx, "CREATE USER "+c.User+" IDENTIFIED WITH no_password"); err != nil {
		c.User = restricted
		return c
	}
	t.Cleanup(func() { _ = conn.Exec(context.WithoutCancel(ctx), "DROP USER IF EXISTS "+c.User) })
	require.NoError(t, conn.Exec(ctx, "GRANT SELECT, INSERT ON "+c.Database+".* TO "+c.User))
	return c
}

// Open connects until the test ends.
func Open(t testing.TB, c clickhouse.Config) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
