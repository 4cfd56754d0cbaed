package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// scene is one course of events: what is done before the records come, what is
// waited for, and what ends it. The zero course is a good one.
type scene struct {
	name    string
	kind    string // of the workflow; empty: Ingest
	mix     load.Mix
	poison  int      // logs, of 1,000, whose message is poison
	before  []string // statements
	state   string   // to wait for
	mend    []string
	decide  []string // starter resolve WORKFLOW …
	command []string // starter …, at the end
	away    time.Duration
}

const (
	noPoison = "ALTER TABLE logs ADD CONSTRAINT no_poison CHECK NOT startsWith(message, 'poison')"
	poisonOK = "ALTER TABLE logs DROP CONSTRAINT no_poison"
	away     = "RENAME TABLE logs TO away"
	back     = "RENAME TABLE away TO logs"
)

var scenes = []scene{
	{name: "good"},
	{name: "dead_letters", mix: load.Mix{Broken: 0.05}},
	{name: "outage", mix: load.Mix{Broken: 0.05}, away: 8 * time.Second},
	{name: "blocked", before: []string{away}, state: "blocked", mend: []string{back}, decide: []string{"retry"}},
	{name: "blocked_by_itself", before: []string{away}, state: "blocked", mend: []string{back}},
	{name: "held_approved", mix: load.Mix{Broken: 0.9}, state: "held", decide: []string{"approve"}},
	{name: "held_retried", poison: 900, before: []string{noPoison}, state: "held", mend: []string{poisonOK}, decide: []string{"retry"}},
	{name: "isolated", poison: 5, before: []string{noPoison}, mend: []string{poisonOK}},
	{name: "skipped", before: []string{away}, state: "blocked", mend: []string{back}, decide: []string{"skip", "--reason", "a test"}},
	{name: "dead_lettered", before: []string{away}, state: "blocked", mend: []string{back}, decide: []string{"dead_letter", "--all"}},
	{name: "view_mended", before: []string{
		"CREATE TABLE seen (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000", "CREATE MATERIALIZED VIEW sees TO seen AS SELECT toUInt8(throwIf(1)) AS n FROM logs",
	}, state: "blocked", mend: []string{"ALTER TABLE sees MODIFY QUERY SELECT toUInt8(1) AS n FROM logs"}, decide: []string{"retry"}},
	{name: "view_accepted", before: []string{"ALTER TABLE sees MODIFY QUERY SELECT toUInt8(throwIf(1)) AS n FROM logs"}, state: "blocked", decide: []string{"accept"}, mend: nil},
	{name: "redrive", kind: "Redrive", before: []string{"DROP VIEW sees"}, command: []string{"redrive", "--topic", load.Logs}},
	{name: "replay", kind: "Replay", command: []string{"replay", "--topic", load.Logs, "--all"}},
	{name: "audit", kind: "Audit", command: []string{"audit", "--topic", load.Logs}},
}

func (h *recorder) play(ctx context.Context, s scene) error {
	if err := h.exec(ctx, s.before); err != nil {
		return err
	}
	before, err := h.Batches(ctx)
	if err != nil {
		return err
	}
	if s.away > 0 {
		if err := h.ClickHouse.Kill(); err != nil {
			return err
		}
	}
	if err := h.send(ctx, s); err != nil {
		return err
	}
	if s.away > 0 {
		t := time.NewTimer(s.away)
		defer t.Stop()
		<-t.C
		if err := h.ClickHouse.Start(ctx); err != nil {
			return err
		}
	}
	if err := h.Until(ctx, "wait for a batch", func(ctx context.Context) (bool, string) {
		n, err := h.Batches(ctx)
		return n > before, fmt.Sprint(n, err)
	}); err != nil {
		return err
	}
	if err := h.end(ctx, s); err != nil {
		return err
	}
	if s.kind == "" {
		s.kind = "Ingest"
	}
	return dump(ctx, h.c, s.kind, filepath.Join(h.out, s.name+".json"))
}

func (h *recorder) exec(ctx context.Context, statements []string) error {
	for _, sql := range statements {
		if err := h.DB.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

func (h *recorder) send(ctx context.Context, s scene) error {
	if s.poison == 0 {
		return h.Produce(ctx, load.New(1, s.mix), 1000, &h.sent, nil)
	}
	for i := range 1000 {
		word := "fine"
		if i < s.poison {
			word = "poison"
		}
		h.Client.Produce(ctx, &kgo.Record{Topic: load.Logs, Value: fmt.Appendf(nil, `{"timestamp":%d,"level":"INFO","message":"%s %d"}`, time.Now().Unix(), word, i)}, nil)
	}
	return h.Client.Flush(ctx)
}

// end waits for the state, mends, decides, and waits for the end of all batches.
func (h *recorder) end(ctx context.Context, s scene) error {
	var b rig.Batch
	if s.state != "" {
		var err error
		if b, err = h.AwaitState(ctx, s.state, ""); err != nil {
			return err
		}
	}
	if s.state != "" {
		if err := h.exec(ctx, s.mend); err != nil {
			return err
		}
	}
	if len(s.decide) > 0 {
		if err := h.run(ctx, append([]string{"resolve", b.ID}, s.decide...)...); err != nil {
			return err
		}
	}
	if err := h.Settled(ctx); err != nil {
		return err
	}
	if s.state == "" {
		if err := h.exec(ctx, s.mend); err != nil {
			return err
		}
	}
	if len(s.command) > 0 {
		return h.run(ctx, s.command...)
	}
	return nil
}

func (h *recorder) run(ctx context.Context, args ...string) error {
	p, err := h.Starter(args...)
	if err != nil {
		return err
	}
	if code, err := p.Wait(ctx); err != nil || code != 0 {
		return fmt.Errorf("starter %v: %d, %w\n%s", args, code, err, p.Log())
	}
	return nil
}
