package clickhouse

import (
	"context"
	"net"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"
)

func TestAnErrorAfterTheEndOfItsContextSaysSo(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, ended(over, net.ErrClosed), context.Canceled)
	require.ErrorIs(t, ended(over, net.ErrClosed), net.ErrClosed)
	require.Equal(t, context.Canceled, ended(over, context.Canceled))
	require.Equal(t, net.ErrClosed, ended(t.Context(), net.ErrClosed))
	require.NoError(t, ended(over, nil))
	told := &ch.Exception{Code: proto.ErrTooManyParts}
	require.Equal(t, error(told), ended(over, told), "what the server said decides the class")
}
