package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const askTimeout = 10 * time.Second

// ownAddress is this end of a connection in what Go tells of it: another one at each try.
var ownAddress = regexp.MustCompile(`\S+->`)

// Await asks until the answer is good, since a server may start after us. Each
// new reason for waiting is one line. What waiting cannot cure is returned.
func Await(ctx context.Context, log *slog.Logger, what string, ask func(context.Context) error, final func(error) bool) error {
	var last string
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(3*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.Retry(func() error {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		err := ask(ctx)
		if err != nil && final(err) {
			return backoff.Permanent(fmt.Errorf("%s: %w", what, err))
		}
		if err == nil {
			return nil
		}
		if reason := ownAddress.ReplaceAllString(err.Error(), ""); reason != last {
			last = reason
			log.Warn("waiting", "for", what, "error", reason)
		}
		return err
	}, backoff.WithContext(b, ctx))
}

// Stopped is nil when the error only says that the program was asked to stop.
func Stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // being asked to stop is no failure
	}
	return err
}
