package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// AskTimeout is how long one try of Await may take.
	AskTimeout = 10 * time.Second
	// repeatAfter is when a reason is told again: a setting that is wrong must not look like an outage that somebody else mends.
	repeatAfter = time.Minute
)

// varies is what differs in a reason from try to try: this end of a connection, the time by which a certificate is over.
var varies = regexp.MustCompile(`\S+->|current time \S+ is `)

// Await asks until the answer is good, since a server may start after us. Each
// reason for waiting is one line a minute. What waiting cannot cure is returned.
func Await(ctx context.Context, log *slog.Logger, what string, ask func(context.Context) error, final func(error) bool) error {
	return AwaitWithin(ctx, AskTimeout, log, what, ask, final)
}

// AwaitWithin is Await whose tries may take longer, or less.
func AwaitWithin(ctx context.Context, within time.Duration, log *slog.Logger, what string, ask func(context.Context) error, final func(error) bool) error {
	told := map[string]time.Time{}
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(3*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.Retry(func() error {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		err := ask(ctx)
		if err != nil && final(err) {
			return backoff.Permanent(fmt.Errorf("%s: %w", what, err))
		}
		if err == nil {
			return nil
		}
		if reason := varies.ReplaceAllString(err.Error(), ""); time.Since(told[reason]) > repeatAfter {
			told[reason] = time.Now()
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
