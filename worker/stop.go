package main

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"github.com/ai-backlog/ingest/activities"
)

const (
	// endBy is how long a stop lets running activities end by themselves: a block takes a second. What is left is cut, tells
	// Temporal so, and goes on on another worker at once.
	endBy = 6 * time.Second
	// stopTimeout bounds the stop. What has not even told by then goes on on another worker after its heartbeat timeout.
	stopTimeout = 10 * time.Second
)

// options are those of a worker that has at most so many activities at once, and cuts them when it has to stop.
func options(a *activities.Activities, most int, cut <-chan struct{}) worker.Options {
	return worker.Options{
		MaxConcurrentActivityExecutionSize: most,
		WorkerStopTimeout:                  stopTimeout,
		BackgroundActivityContext:          context.Background(),
		Interceptors:                       []interceptor.WorkerInterceptor{a.Metrics.Attempts(), activities.Stoppable(cut)},
	}
}

// cutAfter is closed when activities have had their time to end after ctx has.
func cutAfter(ctx context.Context) <-chan struct{} {
	cut := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(endBy, func() { close(cut) }) })
	return cut
}

// stopAll stops the workers at once: none takes more work while another one ends.
func stopAll(workers []worker.Worker) {
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(w.Stop)
	}
	wg.Wait()
}
