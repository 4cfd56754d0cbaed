package client

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestWhatKeptConnectionsFromComingAboutIsNotHiddenByGivingUp(t *testing.T) {
	var w watcher
	over := errors.New("x509: certificate has expired")
	w.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, over)
	w.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, fmt.Errorf("unable to dial: %w", context.Canceled))
	require.Equal(t, over, w.why(errors.New("record was not sent")))
	w.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, nil)
	last := errors.New("record was not sent")
	require.Equal(t, last, w.why(last))
}
