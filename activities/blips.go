package activities

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const blipsFor = 5 * time.Second

// blips tries again for about five seconds while the cause is an outage: a
// dropped connection should cost milliseconds, not an event in the history.
// Anything longer is Temporal's to retry, and anything else is not cured by it.
func blips(ctx context.Context, try func() error) error {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(blipsFor))
	return backoff.Retry(func() error {
		err := try()
		if err != nil && troubleOf(err).Class != Outage {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(b, ctx))
}
