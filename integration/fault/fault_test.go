package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// script is a fault that is felt after a time.
func script(after time.Duration, healed *int) Fault {
	return Fault{Name: "script", Inject: func(context.Context, *Target, *rand.Rand) (*Injection, error) {
		began := time.Now()
		return &Injection{
			Felt: func(context.Context) (int64, error) { return count(time.Since(began) >= after), nil },
			Heal: func(ctx context.Context) error { *healed++; return ctx.Err() },
		}, nil
	}}
}

func TestAFaultLastsUntilItWasFeltAndHealsOnce(t *testing.T) {
	for name, c := range map[string]struct{ lasting, after, want time.Duration }{
		"felt at once": {3 * time.Second, 0, 3 * time.Second},
		"felt later":   {time.Second, 20 * time.Second, 20 * time.Second},
		"felt just so": {time.Second, feelWithin, time.Second + feelWithin - time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				healed := 0
				r, err := Do(t.Context(), nil, script(c.after, &healed), nil, c.lasting)
				require.NoError(t, err)
				require.Equal(t, 1, healed)
				require.Equal(t, int64(1), r.Felt)
				require.InDelta(t, c.want.Seconds(), r.Lasted.Seconds(), 0.2)
			})
		})
	}
}

func TestAFaultThatNothingFeelsIsAnErrorAndHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		healed := 0
		_, err := Do(t.Context(), nil, script(time.Hour, &healed), nil, time.Second)
		require.ErrorContains(t, err, "script for 1m31s: nothing felt it")
		require.Equal(t, 1, healed)
	})
}

func TestAFaultHealsWhenTheRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		healed := 0
		_, err := Do(ctx, nil, script(0, &healed), nil, time.Hour)
		require.NoError(t, err, "it was felt")
		require.Equal(t, 1, healed)
	})
}

func TestWhatWasInjectedInPartHeals(t *testing.T) {
	healed := 0
	bad := errors.New("half-way")
	_, err := Do(t.Context(), nil, Fault{Name: "script", Inject: func(context.Context, *Target, *rand.Rand) (*Injection, error) {
		return &Injection{Heal: func(context.Context) error { healed++; return nil }}, bad
	}}, nil, time.Second)
	require.ErrorIs(t, err, bad)
	require.Equal(t, 1, healed)
}

func TestTheStateOfAProcessIsTheKernels(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	n, err := stopped(pid)(t.Context())
	require.Error(t, err)
	require.Zero(t, n)
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool { n, _ := stopped(pid)(t.Context()); return n == 1 }, 5*time.Second, time.Millisecond)
	n, err = gone(pid)(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	n, err = gone(pid)(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	require.NotZero(t, state(os.Getpid()))
}

func TestFaultsAreChosenByName(t *testing.T) {
	all, err := Named()
	require.NoError(t, err)
	require.Len(t, Names(all), 19)
	cut, err := Named("cut-network", "deploy")
	require.NoError(t, err)
	require.Len(t, cut, 4, "of three servers, and one deploy")
	_, err = Named("flood")
	require.ErrorContains(t, err, `there is no fault "flood"`)
	for _, f := range all {
		require.NotEmpty(t, f.What)
		require.NotEmpty(t, f.Claims)
	}
}
