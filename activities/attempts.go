package activities

import (
	"context"
	"reflect"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

const (
	attemptOK     = "ok"
	attemptFailed = "failed"
)

// names are the activities', as a worker registers them: every exported method.
func names() (out []string) {
	t := reflect.TypeFor[*Activities]()
	for n := range t.NumMethod() {
		out = append(out, t.Method(n).Name)
	}
	return out
}

// Attempts is a worker's interceptor that counts how each attempt of an activity ends, local ones too.
func (m *Metrics) Attempts() interceptor.WorkerInterceptor { return &attempts{m: m} }

type attempts struct {
	interceptor.WorkerInterceptorBase
	m *Metrics
}

func (a *attempts) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &attempt{m: a.m}
	i.Next = next
	return i
}

type attempt struct {
	interceptor.ActivityInboundInterceptorBase
	m *Metrics
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (a *attempt) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	out, err := a.Next.ExecuteActivity(ctx, in)
	result := attemptOK
	if err != nil {
		result = attemptFailed
	}
	a.m.attempts.WithLabelValues(activity.GetInfo(ctx).ActivityType.Name, result).Inc()
	return out, err
}
