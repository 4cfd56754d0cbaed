package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/ai-backlog/ingest/workflows"
)

// What an overview says in a word.
const (
	flowing       = "flowing"
	needsSomebody = "needs somebody"
	unclear       = "could not tell"
)

// overview is what status shows. What is nil is not known.
type overview struct {
	At       time.Time       `json:"at"`
	Verdict  string          `json:"verdict"`
	Topics   []topicOverview `json:"topics"`
	Workers  []string        `json:"workers"` // that asked Temporal for work just now
	Problems []problem       `json:"problems"`
	Unknown  []string        `json:"could_not_tell"`
}

// topicOverview is a topic's line.
type topicOverview struct {
	Topic       string         `json:"topic"`
	Sent        *float64       `json:"sent_per_second"`
	Stored      *float64       `json:"stored_per_second"`
	Lag         *int64         `json:"lag_records"`
	LagSeconds  *float64       `json:"lag_seconds"`
	P50         *float64       `json:"freshness_p50_seconds"`
	P99         *float64       `json:"freshness_p99_seconds"`
	Batches     map[string]int `json:"batches"` // unfinished ones, by state
	DeadLetters *int64         `json:"dead_letters"`
	Planners    []string       `json:"planners"`
}

// watching is what a status keeps between two looks.
type watching struct {
	group           string // whose batches count
	topics, metrics []string
	lookup          lookup
	readings        []reading
	temporal        *temporal
}

func (w *watching) close() {
	if w.temporal != nil {
		w.temporal.Close()
	}
}

// read adds a reading, and drops those that are too old to compare with.
func (w *watching) read(ctx context.Context) {
	now := readMetrics(ctx, everywhere(ctx, w.lookup, w.metrics))
	w.readings = append(w.readings, now)
	for len(w.readings) > 2 && now.at.Sub(w.readings[1].at) >= smooth {
		w.readings = w.readings[1:]
	}
}

// overview asks Temporal, and puts all together.
func (w *watching) overview(ctx context.Context) overview {
	o := overview{At: w.readings[len(w.readings)-1].at, Problems: []problem{}, Unknown: []string{}}
	open, err := w.ask(ctx, &o)
	return w.together(o, open, err)
}

// together is what Temporal said, err if nothing, and what the programs did.
func (w *watching) together(o overview, open []row, err error) overview {
	s := span{w.readings[0], w.readings[len(w.readings)-1]}
	if err != nil {
		o.Unknown = append(o.Unknown, err.Error())
	}
	for _, addr := range slices.Sorted(maps.Keys(s.to.errs)) {
		o.Unknown = append(o.Unknown, fmt.Sprintf("no metrics at %s: %v (--metrics)", addr, s.to.errs[addr]))
	}
	topics := slices.Clone(w.topics)
	for _, r := range open {
		if !slices.Contains(topics, r.Topic) {
			topics = append(topics, r.Topic)
		}
	}
	var orphans, blind []string
	unsure := err != nil
	for _, topic := range topics {
		t := s.topic(topic)
		if err == nil {
			t.Batches = map[string]int{}
			for _, r := range open {
				if r.Topic == topic {
					t.Batches[r.State]++
				}
			}
		}
		switch {
		case len(t.Planners) == 0:
			orphans = append(orphans, topic)
		case t.Lag == nil: // its planner has no answer, of Kafka or, when it began, of Temporal: nothing is planned
			blind = append(blind, topic)
		}
		o.Topics = append(o.Topics, t)
		// Temporal takes a worker that died for alive as long as recently: while records wait, who does not answer may be the one they wait for.
		unsure = unsure || len(s.to.errs) > 0 && t.Lag != nil && *t.Lag > 0
	}
	if len(orphans) > 0 && len(s.to.errs) == 0 {
		o.Unknown = append(o.Unknown, s.to.unplanned(orphans)...)
	}
	if len(blind) > 0 {
		o.Unknown = append(o.Unknown, fmt.Sprintf("the consumer that plans %s does not know where the topic stands: its log says why, after: planning waits (%s)", strings.Join(blind, ", "), nobodyPlans))
	}
	o.judge(s.to, open, unsure || len(orphans)+len(blind) > 0)
	return o
}

// nobodyPlans is the section for topics without a planner.
const nobodyPlans = runbook + "nobody-plans"

// unplanned says why no program that was asked may plan the topics: it is another, or waits, or has other topics.
func (r reading) unplanned(topics []string) (lines []string) {
	known := r.topics()
	if len(known) == 0 {
		return []string{fmt.Sprintf("no consumer in --metrics plans %s: name the one that does, if it runs (%s)", strings.Join(topics, ", "), nobodyPlans)}
	}
	var waiting, strange []string
	for _, topic := range topics {
		if slices.Contains(known, topic) {
			waiting = append(waiting, topic)
		} else {
			strange = append(strange, topic)
		}
	}
	if len(waiting) > 0 {
		lines = append(lines, fmt.Sprintf("no consumer in --metrics plans %s: if that is all of them, their logs say why, after: planning waits (%s)", strings.Join(waiting, ", "), nobodyPlans))
	}
	if len(strange) > 0 {
		lines = append(lines, fmt.Sprintf("the consumers in --metrics have no topic %s, they have %s: are TOPIC_LOGS, TOPIC_METRICS and TOPIC_EVENTS the same here?",
			strings.Join(strange, ", "), strings.Join(known, ", ")))
	}
	return lines
}

// topic is the topic's line, but for the batches.
func (s span) topic(topic string) topicOverview {
	t := topicOverview{
		Topic: topic, Planners: s.to.planners(topic), Sent: s.sent(topic), Stored: s.stored(topic), LagSeconds: s.to.most("ingest_lag_seconds", topic),
		P50: s.quantile("ingest_freshness_seconds", topic, 0.5), P99: s.quantile("ingest_freshness_seconds", topic, 0.99),
		Lag: integer(s.to.sum("ingest_lag_offsets", topic)), DeadLetters: integer(s.to.sum("ingest_dead_letters_total", topic)),
	}
	if t.Planners == nil {
		t.Planners = []string{}
	}
	return t
}

func integer(v *float64) *int64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	n := int64(*v)
	return &n
}

// ask is Temporal's word: unfinished batches, and who asks for work.
func (w *watching) ask(ctx context.Context, o *overview) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if w.temporal == nil {
		c, err := dialTemporal(ctx)
		if err != nil {
			return nil, err
		}
		w.temporal = &c
	}
	queries, err := batchesFlags{state: "running", group: w.group}.queries()
	if err != nil {
		return nil, err
	}
	open, err := list(ctx, w.temporal, queries, most)
	if err == nil {
		o.Workers, err = w.workers(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("no answer from Temporal at %s: %w", w.temporal, err)
	}
	return open, nil
}

const (
	// most is how many unfinished batches are counted: many times what the windows of all topics allow.
	most = 10_000
	// recently is how long ago a worker may have asked for work at most: its long poll takes a minute.
	recently = 90 * time.Second
)

// workers are those that asked for activities of batches, by their identity.
func (w *watching) workers(ctx context.Context) ([]string, error) {
	seen := []string{}
	d, err := w.temporal.DescribeTaskQueue(ctx, workflows.TaskQueue, enums.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return nil, err
	}
	return append(seen, identities(d, time.Now())...), nil
}

func identities(d *workflowservice.DescribeTaskQueueResponse, now time.Time) (seen []string) {
	for _, p := range d.GetPollers() {
		if now.Sub(p.GetLastAccessTime().AsTime()) <= recently && !slices.Contains(seen, p.GetIdentity()) {
			seen = append(seen, p.GetIdentity())
		}
	}
	slices.Sort(seen)
	return seen
}

// err has the exit code that says what the overview says.
func (o overview) err() error {
	switch o.Verdict {
	case needsSomebody:
		return &exitError{notClean, errors.New(needsSomebody + ": " + o.Problems[0].String())}
	case unclear:
		return &exitError{couldNotTell, errors.New(unclear + ": " + cmp.Or(o.Unknown...))}
	}
	return nil
}
