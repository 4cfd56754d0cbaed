package vitals

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	settings "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-backlog/ingest/clickhouse"
)

const (
	every = 15 * time.Second
	// life is how long an answer is shown: three questions in a row got none then.
	life = 3*every + 5*time.Second
	// roundLimit ends all questions of a round: a server that hangs is asked again at the next.
	roundLimit = 10 * time.Second
	// againAfter is when a reading that was refused, or that the server does not have, is tried again: somebody may have granted it.
	againAfter = 10 * time.Minute
	// soonAfter is when one whose table is missing is tried again first, before that is said: a new server makes query_log with
	// its first queries.
	soonAfter   = time.Minute
	missingCode = 60  // UNKNOWN_TABLE
	slowCode    = 159 // TIMEOUT_EXCEEDED
)

// light bounds what a question may cost. One that reaches a bound has no answer: a part of the parts is a number that lies, and most
// of all on a server that has too many. log_queries: questions that come
// every 15 seconds for ever would fill the log, and be a part of what it says.
var light = settings.Settings{
	"max_execution_time": 4, "timeout_overflow_mode": "throw", "max_rows_to_read": 20_000_000, "read_overflow_mode": "throw",
	"max_threads": 1, "max_memory_usage": 300 << 20, "log_queries": 0,
}

// Vitals reads a server's vital signs.
type Vitals struct {
	cfg      clickhouse.Config
	log      *slog.Logger
	m        *metrics
	readings []reading
	refused  map[string]refusal
}

// refusal is of a reading that is left out.
type refusal struct {
	until time.Time
	told  bool
}

// New registers the metrics and reads nothing.
func New(cfg clickhouse.Config, reg prometheus.Registerer, log *slog.Logger) *Vitals {
	return lasting(cfg, reg, log, life)
}

func lasting(cfg clickhouse.Config, reg prometheus.Registerer, log *slog.Logger, life time.Duration) *Vitals {
	m := newMetrics(reg, life)
	return &Vitals{cfg: cfg, log: log, m: m, readings: m.readings(), refused: map[string]refusal{}}
}

// Run reads every 15 seconds until ctx ends, over a connection of its own.
func (v *Vitals) Run(ctx context.Context) error {
	conn, err := clickhouse.Open(v.cfg)
	if err != nil {
		return fmt.Errorf("open a connection to read ClickHouse's vital signs: %w", err)
	}
	defer func() { _ = conn.Close() }()
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		v.round(ctx, conn)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// round asks all questions once.
func (v *Vitals) round(ctx context.Context, conn driver.Conn) {
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	began := time.Now()
	err := clickhouse.Ping(ctx, conn)
	var slow error
	for _, r := range v.readings {
		if err != nil { // the others would only wait for the same
			break
		}
		if time.Now().Before(v.refused[r.of].until) {
			continue
		}
		rows, e := r.ask(ctx, conn)
		switch {
		case e == nil:
			r.show(rows)
		case final(e):
			r.show(nil)
			v.leaveOut(r, e)
		case clickhouse.Classify(e).Code == slowCode: // for this question
			slow = e
		default:
			err = e
		}
	}
	v.m.seconds.Set(time.Since(began).Seconds())
	v.m.up.Set(0)
	if err == nil && slow == nil {
		v.m.up.Set(1)
	}
}

// final tells whether an error is of the server's settings or our rights, which the next round does not cure.
func final(err error) bool {
	f := clickhouse.Classify(err)
	return f.Code != 0 && (f.Class != clickhouse.Outage || !clickhouse.Known(f.Code))
}

// leaveOut says it once, and has it tried again later.
func (v *Vitals) leaveOut(r reading, err error) {
	was, before := v.refused[r.of]
	if !before && clickhouse.Classify(err).Code == missingCode {
		v.refused[r.of] = refusal{until: time.Now().Add(soonAfter)}
		return
	}
	if !was.told {
		v.log.Warn("a reading of clickhouse is left out", "reading", r.of, "error", err, "do", "grant what is missing, or set CLICKHOUSE_METRICS=false")
	}
	v.refused[r.of] = refusal{until: time.Now().Add(againAfter), told: true}
}
