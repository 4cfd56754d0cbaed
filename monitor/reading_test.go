package monitor

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestWhatWasNotReadAgainIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReading(prometheus.NewRegistry(), 30*time.Second, "x_seconds", "X.", "topic", "state")
		require.Zero(t, testutil.CollectAndCount(r), "nothing was read yet")
		r.Set(1, "a", "running")
		r.Set(2, "a", "held")
		r.Set(3, "b", "held")
		time.Sleep(20 * time.Second) //nolint:forbidigo // the bubble's clock
		r.Set(4, "a", "running")
		time.Sleep(20 * time.Second) //nolint:forbidigo // the bubble's clock
		require.NoError(t, testutil.CollectAndCompare(r, strings.NewReader("# HELP x_seconds X.\n# TYPE x_seconds gauge\nx_seconds{state=\"running\",topic=\"a\"} 4\n")))
	})
}

func TestAReadingForgetsASeriesOrAllOfATopic(t *testing.T) {
	r := NewReading(prometheus.NewRegistry(), time.Minute, "x", "X.", "topic", "state")
	for _, topic := range []string{"a", "b"} {
		r.Set(1, topic, "running")
		r.Set(1, topic, "held")
	}
	r.Forget("a", "held")
	require.Equal(t, 3, testutil.CollectAndCount(r))
	r.Forget("b")
	require.Equal(t, 1, testutil.CollectAndCount(r))
	r.Forget()
	require.Zero(t, testutil.CollectAndCount(r))
}

func TestANameThatIsNotUTF8IsShownAsWellAsItCan(t *testing.T) {
	r := NewReading(prometheus.NewRegistry(), time.Minute, "x", "X.", "table")
	r.Set(1, "a\xff")
	require.NoError(t, testutil.CollectAndCompare(r, strings.NewReader("# HELP x X.\n# TYPE x gauge\nx{table=\"a\uFFFD\"} 1\n")))
	r.Forget("a\xff")
	require.Zero(t, testutil.CollectAndCount(r))
}
