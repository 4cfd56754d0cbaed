package main

import (
	"context"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/planlog"
)

// topic is one topic of the group under one assignment, as planlog asks for it.
// Each call has a deadline of its own.
type topic struct {
	member     *kafka.Member
	name       string
	assignment int64
}

var _ planlog.Kafka = topic{}

func (t topic) Logs(ctx context.Context) (planlog.Logs, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	id, logs, err := kafka.Logs(ctx, t.member.Client, t.name)
	if err != nil {
		return planlog.Logs{}, err
	}
	out := planlog.Logs{TopicID: id, Partitions: make(map[int32]planlog.Log, len(logs))}
	for p, l := range logs {
		out.Partitions[p] = planlog.Log(l)
	}
	return out, nil
}

func (t topic) EpochEnds(ctx context.Context, at []batch.Position) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return kafka.EpochEnds(ctx, t.member.Client, t.name, at)
}

func (t topic) Fetch(ctx context.Context) (map[int32]planlog.Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	cs, err := t.member.Fetch(ctx, t.name)
	if err != nil {
		return nil, err
	}
	out := make(map[int32]planlog.Commit, len(cs))
	for p, c := range cs {
		out[p] = planlog.Commit(c)
	}
	return out, nil
}

func (t topic) Commit(ctx context.Context, id batch.TopicID, cs map[int32]planlog.Commit) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	out := make(map[int32]kafka.Committed, len(cs))
	for p, c := range cs {
		out[p] = kafka.Committed(c)
	}
	return t.member.Commit(ctx, t.name, t.assignment, id, out)
}
