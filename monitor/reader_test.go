package monitor

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAReaderGoesOnThroughErrorsAndTellsOnceWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := errors.New("denied")
		var out bytes.Buffer
		began := time.Now()
		var asked []time.Duration
		answers := []error{ErrNotYet, ErrNotYet, nil, errors.New("away"), denied, denied, nil, denied, nil}
		ctx, cancel := context.WithCancel(t.Context())
		r := Reader{
			Log: slog.New(slog.NewTextHandler(&out, nil)), What: "x_seconds", Every: time.Minute, Limit: time.Second,
			Refused: func(err error) bool { return errors.Is(err, denied) },
			Read: func(ctx context.Context) error {
				left, _ := ctx.Deadline()
				require.Equal(t, time.Second, time.Until(left))
				asked = append(asked, time.Since(began))
				if len(asked) == len(answers) {
					cancel()
				}
				return answers[len(asked)-1]
			},
		}
		r.Run(ctx)
		require.Equal(t, []time.Duration{0, time.Second, 2 * time.Second, time.Minute + 2*time.Second, 2*time.Minute + 2*time.Second, 3*time.Minute + 2*time.Second, 4*time.Minute + 2*time.Second, 5*time.Minute + 2*time.Second, 6*time.Minute + 2*time.Second}, asked)
		require.Equal(t, 2, strings.Count(out.String(), "\n"), out.String())
		require.Contains(t, out.String(), "metric=x_seconds")
	})
}
