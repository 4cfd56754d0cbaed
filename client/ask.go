package client

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
)

// Ask has Kafka asked whether the kind's topic is there, and how large its
// records may be. The error is a *kerr.Error if Kafka says what is wrong, that
// there is no such topic for instance; any other means that it cannot be reached,
// or has not answered until ctx ended, and Problems may know why.
//
// Nobody has to ask. It is for programs that want to tell what is wrong before
// their first record, and for records of more than a megabyte, of which the
// first would be refused: the topic's limit is the usual one until Kafka has
// told it.
func (c *Client) Ask(ctx context.Context, kind record.Kind) error {
	asked := make(chan error, 1)
	go func() { asked <- c.lanes[kind].ask(ctx) }() // a server that accepts connections and says nothing holds Kafka's client longer than ctx
	select {
	case err := <-asked:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *lane) ask(ctx context.Context) error {
	topics, err := kadm.NewClient(l.c.kafka.Client).ListTopics(ctx, l.topic)
	if err != nil {
		return err
	}
	if err := topics[l.topic].Err; err != nil {
		return err
	}
	l.askLimit(ctx)
	return nil
}

// Limit is how many bytes a record of the kind may have in Kafka, its key
// included, as far as it is known now.
func (c *Client) Limit(kind record.Kind) int { return int(c.lanes[kind].limit.Load()) }

// Problems are what keeps each server from taking records, as far as it is
// known: nil if nothing does, or if it is only silent.
func (c *Client) Problems() (inKafka, inClickHouse error) {
	for _, l := range c.lanes {
		l.mu.Lock()
		if l.kafkaErr != nil {
			inKafka = kafka.Denied(l.kafkaErr, "Write on topic %s", l.topic)
		}
		if l.tableErr != nil {
			inClickHouse = l.tableErr
		}
		l.mu.Unlock()
	}
	return kafka.Hint(c.watcher.why(inKafka)), inClickHouse
}
