//go:build unix

package main

import (
	"context"
	"os"
	"time"
)

// untilOrphaned is done when the process that started this one is gone, by whatever end: a stack that nobody can stop any more
// would keep its ports for ever.
func untilOrphaned(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent {
					cancel()
				}
			}
		}
	}()
	return ctx, cancel
}
