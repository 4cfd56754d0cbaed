package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
)

// errStopping ends an activity whose worker was asked to stop.
var errStopping = errors.New("the worker was asked to stop")

// handOver is after how long another worker tries what a stopping one has left: at once, but for the time that it takes to leave the
// task queue.
const handOver = 100 * time.Millisecond

// Stoppable ends activities that still run when cut is closed, and has them tell Temporal: another worker goes on at once, not
// only after the heartbeat timeout. What they have sent without an answer they tell as ever, so the same rows go under the same
// token next, and a turn that would send others waits for the quiet time.
//
// Local activities are cut, too: one that waits for a server would hold up its workflow task, and the stop of the worker in its
// three steps. That it failed is recorded, and the batch waits as after any outage.
func Stoppable(cut <-chan struct{}) interceptor.WorkerInterceptor { return &stoppable{cut: cut} }

type stoppable struct {
	interceptor.WorkerInterceptorBase
	cut <-chan struct{}
}

func (s *stoppable) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &stoppableActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, s.cut}
}

type stoppableActivity struct {
	interceptor.ActivityInboundInterceptorBase
	cut <-chan struct{}
}

func (s *stoppableActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.cut:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	out, err := s.Next.ExecuteActivity(ctx, in)
	if err == nil || !errors.Is(context.Cause(ctx), errStopping) {
		return out, err
	}
	return nil, handedOver(err)
}

// handedOver is the failure of an activity that was ended. Anything but an outage it found out itself.
func handedOver(err error) error {
	t := TroubleOf(err)
	if t.Class != Outage {
		return err
	}
	t.Name, t.Message = "WORKER_STOPPED", errStopping.Error()+"; another one goes on"
	return temporal.NewApplicationErrorWithOptions(t.Message, string(t.Class), temporal.ApplicationErrorOptions{
		Details: []any{t}, Category: temporal.ApplicationErrorCategoryBenign, NextRetryDelay: handOver,
	})
}
