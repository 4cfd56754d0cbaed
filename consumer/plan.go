package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.temporal.io/api/serviceerror"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/frontend"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/planlog"
)

const (
	tickEvery   = 200 * time.Millisecond
	callLimit   = 5 * time.Second  // of one call; a round has none, since a takeover may read very many batches
	lookEvery   = 5 * time.Second  // while the topic is not planned here: does it exist?
	repeatAfter = 30 * time.Second // the same trouble is one line per
)

// planning is the loop of one topic.
type planning struct {
	cfg       Config
	name      string
	member    *kafka.Member
	temporal  planlog.Temporal
	retention time.Duration
	lasted    func(id string) (time.Duration, bool)
	metrics   *metrics
	log       *slog.Logger

	planner    *planlog.Planner
	assignment int64
	trouble    string
	told       time.Time
	looked     time.Time
}

// run plans the topic whenever its partition 0 is assigned here. Its error is
// what waiting does not cure.
func (p *planning) run(ctx context.Context) error {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		if err := p.round(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (p *planning) round(ctx context.Context) error {
	a := p.member.Holds(p.name)
	if a != p.assignment {
		p.assign(a)
	}
	if a == 0 {
		return p.idle(ctx)
	}
	began := time.Now()
	err := p.planner.Tick(ctx)
	if ctx.Err() == nil { // else it was only asked to stop
		p.metrics.show(p.name, p.planner.State(), time.Since(began), err)
		p.tell(err)
	}
	return nil
}

// idle says why the topic is not planned here, unless another member does.
func (p *planning) idle(ctx context.Context) error {
	if time.Since(p.looked) < lookEvery {
		return nil
	}
	p.looked = time.Now()
	err := p.member.Err()
	if kafka.IsRefused(err) {
		return kafka.Hint(err)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		defer cancel()
		err = kafka.Exists(ctx, p.member.Client, p.name)
	}
	if ctx.Err() == nil {
		p.tell(err)
	}
	return nil
}

// assign drops the planner, and makes a new one for a new assignment: it begins
// with a takeover.
func (p *planning) assign(a int64) {
	p.planner, p.assignment, p.looked = nil, a, time.Now()
	p.metrics.owns(p.name, a)
	if a == 0 {
		p.log.Info("topic is planned elsewhere", "topic", p.name)
		return
	}
	p.log.Info("topic is planned here", "topic", p.name, "assignment", a)
	cfg := planlog.Config{
		Group: p.cfg.Kafka.GroupID, Topic: p.name, Window: p.cfg.BatchWindow, Records: p.cfg.BatchRecords, Bytes: p.cfg.BatchBytes, Linger: p.cfg.BatchLinger,
		Quiet: activities.Quiet, Retention: p.retention, Latest: p.cfg.Kafka.AutoOffsetReset == "latest", Limits: p.cfg.limits(),
	}
	lease := func() bool { return p.member.Lease(p.name, a) }
	p.planner = planlog.New(cfg, topic{p.member, p.name, a}, p.temporal, lease, time.Now, func() string { return uuid.NewString()[:8] }, p.log, p.metrics.observer(p.name, p.lasted))
}

// tell logs a trouble when it is new or has lasted, and when it is over.
func (p *planning) tell(err error) {
	switch {
	case err == nil && p.trouble != "":
		p.log.Info("planning goes on", "topic", p.name)
		p.trouble = ""
	case err == nil:
	case errors.Is(err, kafka.ErrNoTopic):
		p.warn(fmt.Sprintf("nothing is lost; create it: kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 12", p.cfg.Kafka.Servers[0], p.name), err)
	case errors.Is(err, kafka.ErrNoTopicID):
		p.warn("nothing is lost; upgrade the brokers to Kafka 2.8 or newer, and raise inter.broker.protocol.version: planning begins by itself then", err)
	case errors.Is(err, planlog.ErrTruncated):
		p.warn("this topic stands still until an operator decides: Kafka lost records that were planned, and new ones take their offsets", err)
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		p.warn("nothing is lost, planning begins by itself once it is granted", kafka.Denied(err, "Read on KAFKA_GROUP_ID %s", p.cfg.Kafka.GroupID))
	case kafka.IsAuth(err):
		p.warn("nothing is lost, planning begins by itself once it is granted", kafka.Hint(kafka.Denied(err, "Read on topic %s", p.name)))
	default:
		p.warn("nothing, unless it lasts: it is tried again every round", advised(err))
	}
}

// advised says which setting to look at, of Temporal or of Kafka.
func advised(err error) error {
	if _, ours := errors.AsType[serviceerror.ServiceError](err); ours {
		return frontend.Hint(err)
	}
	return kafka.Hint(err)
}

func (p *planning) warn(do string, err error) {
	if s := err.Error(); s != p.trouble || time.Since(p.told) > repeatAfter {
		p.trouble, p.told = s, time.Now()
		p.log.Warn("planning waits", "topic", p.name, "error", s, "do", do)
	}
}
