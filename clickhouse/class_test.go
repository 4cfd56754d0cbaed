package clickhouse_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/clickhouse/clickhousetest"
)

// classes is the design's table, written down a second time on purpose.
var classes = map[clickhouse.Class][]int32{
	clickhouse.Outage:   {159, 164, 202, 203, 209, 210, 241, 242, 252, 285, 319, 425, 999, 1, 395, 12345},
	clickhouse.Blocked:  {60, 81, 16, 192, 193, 194, 516, 497, 243, 201},
	clickhouse.Rejected: {6, 26, 27, 38, 41, 53, 69, 70, 72, 131, 349, 469},
}

func TestEveryCodeHasItsClassFromEitherDriver(t *testing.T) {
	for class, codes := range classes {
		for _, code := range codes {
			for _, err := range []error{
				&ch.Exception{Code: proto.Error(code), Name: "DB::Exception", Message: "no text decides: Timeout, Connection refused"},
				&chgo.Exception{Code: code, Name: "DB::Exception", Message: "no text decides: VIOLATED_CONSTRAINT"},
			} {
				f := clickhouse.Classify(fmt.Errorf("insert: %w", err))
				require.Equal(t, class, f.Class, "code %d", code)
				require.Equal(t, code, f.Code)
				require.Equal(t, clickhouse.Name(code), f.Name)
				require.True(t, f.Sent)
				require.ErrorIs(t, f, err)
			}
		}
	}
}

func TestACodeIsKnownIfADecisionRestsOnIt(t *testing.T) {
	require.True(t, clickhouse.Known(497))
	require.True(t, clickhouse.Known(159))
	require.False(t, clickhouse.Known(48))
	require.False(t, clickhouse.Known(0))
}

func TestWhatNoServerAnsweredIsAnOutage(t *testing.T) {
	for _, err := range []error{
		errors.New("code: 469, message: a text that looks like an answer"),
		&net.OpError{Op: "dial", Err: errors.New("connection refused")},
		&net.DNSError{Err: "no such host"},
		x509.UnknownAuthorityError{},
		context.DeadlineExceeded,
		ch.ErrClosed,
	} {
		f := clickhouse.Classify(err)
		require.Equal(t, clickhouse.Outage, f.Class, err)
		require.Equal(t, clickhouse.Unreachable, f.Name)
		require.Zero(t, f.Code)
		require.ErrorIs(t, f, err)
	}
	require.Nil(t, clickhouse.Classify(nil))
}

func TestFailureKeepsWhatIsKnownAndSaysWhatWasDone(t *testing.T) {
	f := &clickhouse.Failure{Class: clickhouse.Blocked, Name: "ACCESS_DENIED"}
	require.Same(t, f, clickhouse.Classify(fmt.Errorf("once more: %w", f)))
	require.Same(t, f, clickhouse.Wrap(fmt.Errorf("once more: %w", f), "insert"))
	require.EqualError(t, clickhouse.Wrap(&ch.Exception{Code: 252, Message: "too many"}, "insert into %s", "logs"),
		"insert into logs: ClickHouse TOO_MANY_PARTS (252): too many")
	require.EqualError(t, clickhouse.Wrap(errors.New("refused"), "insert into %s", "logs"), "insert into logs: refused")
	require.Equal(t, []string{"outage", "blocked", "rejected"}, []string{clickhouse.Outage.String(), clickhouse.Blocked.String(), clickhouse.Rejected.String()})
}

func TestNamesAreTheServersOwn(t *testing.T) {
	c := clickhousetest.Server(t)
	c.Database = "default"
	conn := clickhousetest.Open(t, c)
	for _, codes := range classes {
		for _, code := range codes {
			var name string
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT errorCodeToName(?)", code).Scan(&name))
			if name != "" {
				require.Equal(t, name, clickhouse.Name(code), "code %d", code)
			}
		}
	}
	require.Equal(t, "Error(12345)", clickhouse.Name(12345))
}

func TestAMessageIsOneLineWithoutTheServersAdviceToItsInstaller(t *testing.T) {
	f := clickhouse.Classify(&chgo.Exception{Code: 516, Message: "default: Authentication failed: password is incorrect.\n\nIf you have installed ClickHouse and forgot the password,\nyou can reset it."})
	require.Equal(t, "default: Authentication failed: password is incorrect.", f.Message)
}
