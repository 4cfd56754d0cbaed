package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/record"
)

func TestEveryReasonForARefusalSaysWhatToDo(t *testing.T) {
	general := advice(record.MalformedJSON)
	for _, why := range record.Reasons() {
		text := (&InvalidError{record.Event, "payload", why}).Error()
		require.True(t, strings.HasPrefix(text, "event refused: "+string(why)+" in payload: "), text)
		require.NotContains(t, text, "\n")
		require.Less(t, len(text), 150, text)
		if why != record.TruncatedJSON && why != record.MalformedJSON && why != record.TrailingData {
			require.NotEqual(t, general, advice(why), why)
		}
	}
	require.Equal(t, "log refused: empty: give a value", (&InvalidError{Kind: record.Log, Reason: record.Empty}).Error())
}

// An error gets logged where the record itself must not be.
func TestARefusalTellsNothingOfTheContent(t *testing.T) {
	const secret = "secret\xff"
	l := Log{Timestamp: time.Unix(0, 0), Level: secret, Message: secret, Attributes: map[string]string{secret: secret}}
	_, err := appendLog(nil, &l)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "secret")
	e := Event{Timestamp: time.Unix(0, 0), Type: "t", Payload: []byte(`{"secret":}`)}
	_, err = appendEvent(nil, &e, record.NewChecker(record.Event))
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "secret")
}
