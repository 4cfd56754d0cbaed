package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestAReasonForWaitingIsOneLineThoughItsPortsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tries := 0
		err := Await(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), "X (X_HOST)", func(context.Context) error {
			switch tries++; {
			case tries < 5:
				return fmt.Errorf("read tcp 127.0.0.1:%d->127.0.0.1:9000: i/o timeout", 40000+tries)
			case tries < 9:
				return errors.New("connection refused")
			}
			return nil
		}, func(error) bool { return false })
		require.NoError(t, err)
		require.Equal(t, 9, tries)
		require.Equal(t, 2, strings.Count(out.String(), "\n"), out.String())
		require.Contains(t, out.String(), "read tcp 127.0.0.1:9000: i/o timeout")
	})
}

func TestWhatWaitingDoesNotCureIsReturnedAtOnce(t *testing.T) {
	denied := errors.New("denied")
	var out bytes.Buffer
	err := Await(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), "X (X_HOST)", func(context.Context) error { return denied },
		func(err error) bool { return errors.Is(err, denied) })
	require.ErrorIs(t, err, denied)
	require.ErrorContains(t, err, "X (X_HOST)")
	require.Empty(t, out.String())
}
