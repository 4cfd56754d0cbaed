package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/ai-backlog/ingest/kafka"
)

// errInterrupted says that the user wanted to stop.
var errInterrupted = errors.New("interrupted")

// preflight is nil if the topic is there. With the other way, so it is while
// Kafka cannot be reached: but not if Kafka says what is wrong.
func (s *sender) preflight(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	if s.fallback() {
		asking, cancel = context.WithTimeout(asking, s.cfg.FallbackAfter)
		defer cancel()
	}
	err := s.client.Ask(asking, s.kind)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errInterrupted
	case refusal(err):
		return s.refusal(err)
	case s.fallback():
		return nil
	}
	return s.away(err)
}

// refusal tells whether Kafka has answered, and what waiting does not cure.
func refusal(err error) bool {
	_, answered := errors.AsType[*kerr.Error](err)
	return answered
}

func (s *sender) servers() string { return strings.Join(s.cfg.Kafka.Servers, ",") }

// refusal explains the answers that an operator can do something about.
func (s *sender) refusal(err error) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
		return fmt.Errorf("topic %s does not exist at KAFKA_SERVERS=%s; create it with: kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 12",
			s.topic(), s.servers(), s.servers(), s.topic())
	}
	return fmt.Errorf("send to topic %s at KAFKA_SERVERS=%s: %w", s.topic(), s.servers(), kafka.Hint(kafka.Denied(err, "Write on topic %s", s.topic())))
}

// away says that nobody answers, and the best reason that is known.
func (s *sender) away(err error) error {
	inKafka, inClickHouse := s.client.Problems()
	if inKafka != nil {
		err = inKafka
	}
	err = fmt.Errorf("no answer from Kafka at KAFKA_SERVERS=%s within %s: %w", s.servers(), s.patience, kafka.Hint(err))
	if !s.fallback() {
		err = fmt.Errorf("%w (with --fallback records go straight to ClickHouse meanwhile)", err)
	} else if s.encoding.asIs {
		err = fmt.Errorf("%w (lines without an event_id go to Kafka only)", err)
	}
	if inClickHouse != nil {
		err = fmt.Errorf("%w; ClickHouse at CLICKHOUSE_HOST=%s: %w", err, strings.Join(s.cfg.ClickHouse.Hosts, ","), inClickHouse)
	}
	return err
}
