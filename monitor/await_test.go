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
	"time"

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

func TestAReasonIsToldOnceAMinuteThoughItsTimeDiffersAndItTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		began, tries := time.Now(), 0
		err := Await(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), "X (X_HOST)", func(context.Context) error {
			switch tries++; {
			case time.Since(began) > 150*time.Second:
				return nil
			case tries%2 == 0:
				return errors.New("broken pipe")
			}
			return fmt.Errorf("x509: certificate has expired or is not yet valid: current time %s is after 2026-01-02T03:04:05Z", time.Now().Format(time.RFC3339))
		}, func(error) bool { return false })
		require.NoError(t, err)
		require.Equal(t, 3, strings.Count(out.String(), "broken pipe"), out.String())
		require.Equal(t, 3, strings.Count(out.String(), "is not yet valid: after 2026-01-02T03:04:05Z"), out.String())
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
