package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/batch"
)

// letterbox is a world whose records are dead letters.
type letterbox struct {
	*world
	letters map[int64]string // state by offset
	most    []int64
}

func newLetterbox(t *testing.T, n int64) *letterbox {
	t.Helper()
	l := &letterbox{world: newWorld(t), letters: map[int64]string{}}
	for o := range n {
		l.letters[2*o] = "dead" // no two are neighbours
	}
	l.env.RegisterWorkflow(Redrive)
	l.env.OnActivity(act.Pick, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.PickInput) (out activities.Picked, err error) {
		l.most = append(l.most, in.Most)
		for o := int64(0); o < 2*n && out.Ranges.Len() < min(in.Most, 20); o++ {
			if l.letters[o] == "dead" && (in.After == nil || o > in.After.Offset) {
				out.Ranges, out.Last = append(out.Ranges, batch.Range{First: o, Last: o}), activities.Place{Offset: o}
			}
		}
		return out, nil
	})
	l.env.OnActivity(act.Mark, mock.Anything, mock.Anything).Return(func(_ context.Context, j activities.Job) (n int64, err error) {
		require.True(t, j.Letters)
		each(j.Ranges, func(o int64) {
			if l.stored[o] {
				l.letters[o] = "redriven"
				n++
			}
		})
		return n, nil
	})
	return l
}

func (l *letterbox) redrive(t *testing.T, in RedriveInput) RedriveResult {
	t.Helper()
	in.Group, in.Letters.Topic, in.Nonce = "g", "t", "n"
	l.env.ExecuteWorkflow(Redrive, in)
	require.True(t, l.env.IsWorkflowCompleted())
	require.NoError(t, l.env.GetWorkflowError())
	var out RedriveResult
	require.NoError(t, l.env.GetWorkflowResult(&out))
	require.Equal(t, out.Picked, out.Stored+out.Present+out.Refused+out.Gone)
	for o, state := range l.letters {
		require.Equal(t, l.stored[o], state == "redriven", "offset %d", o)
	}
	return out
}

func TestARedriveStoresWhatItCanAndMarksIt(t *testing.T) {
	l := newLetterbox(t, 50)
	l.bad[4], l.refused[30], l.refused[62] = true, true, true
	l.stored[8] = true // by a redrive that was ended before it had marked it
	out := l.redrive(t, RedriveInput{})
	require.Equal(t, []int64{50, 46, 1, 3}, []int64{out.Picked, out.Stored, out.Present, out.Refused})
	require.Equal(t, "dead", l.letters[30])
	require.Contains(t, l.most, int64(refusedBlock), "blocks are smaller once the server has refused a row")
	require.Empty(t, l.settled)
}

func TestARedriveResendsThroughAnOutageUnderTheSameToken(t *testing.T) {
	l := newLetterbox(t, 10)
	for range 100 {
		l.insert = append(l.insert, outage(true))
	}
	out := l.redrive(t, RedriveInput{})
	require.EqualValues(t, 10, out.Stored)
	require.Equal(t, 0, l.sent[0][0])
	require.Contains(t, l.states, "waiting")
}

func TestARedriveThatFollowsOneThatWasEndedSettlesFirst(t *testing.T) {
	l := newLetterbox(t, 3)
	began := l.env.Now()
	l.redrive(t, RedriveInput{Again: true})
	require.Len(t, l.settled, 1)
	require.GreaterOrEqual(t, l.env.Now().Sub(began), activities.Quiet)
}

func TestARedriveKeepsToItsLimitAndItsRate(t *testing.T) {
	l := newLetterbox(t, 50)
	began := l.env.Now()
	out := l.redrive(t, RedriveInput{Limit: 25, Rate: 5})
	require.EqualValues(t, 25, out.Picked)
	require.GreaterOrEqual(t, l.env.Now().Sub(began), 5*time.Second)
}

func TestARedriveOfAThrowingViewIsMendedByResending(t *testing.T) {
	l := newLetterbox(t, 10)
	l.insert = []func(activities.InsertInput) error{
		func(in activities.InsertInput) error {
			each(in.Ranges, func(o int64) { l.stored[o] = true })
			return problem(activities.Trouble{Class: activities.Outage, Code: 395, Name: "THROW_IF", Message: "x", Block: in.Ranges.Len(), Progress: activities.Progress{Doubt: true}})
		},
		nil,
	}
	out := l.redrive(t, RedriveInput{})
	require.EqualValues(t, 10, out.Stored)
	require.Contains(t, l.states, "blocked")
}
