package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// starter runs a command and requires that it ends well; its output is answered.
func (s *scene) starter(args ...string) string {
	s.t.Helper()
	p, err := s.Starter(args...)
	require.NoError(s.t, err)
	code, err := p.Wait(s.ctx)
	require.NoError(s.t, err)
	require.Zero(s.t, code, p.Log())
	return p.Log()
}

// exec runs statements on ClickHouse.
func (s *scene) exec(statements ...string) {
	s.t.Helper()
	for _, sql := range statements {
		require.NoError(s.t, s.DB.Exec(s.ctx, sql), sql)
	}
}

func (s *scene) count(sql string, args ...any) int64 {
	s.t.Helper()
	var n uint64
	require.NoError(s.t, s.DB.QueryRow(s.ctx, sql, args...).Scan(&n))
	return int64(n) //nolint:gosec // far below 2^63
}

// poison sends n logs that can be decoded; those of which bad says so are called poison.
func (s *scene) poison(n int, bad func(i int) bool) {
	s.t.Helper()
	for i := range n {
		word := "fine"
		if bad(i) {
			word = "poison"
		}
		rec := &kgo.Record{Topic: load.Logs, Value: fmt.Appendf(nil, `{"timestamp":%d,"level":"INFO","message":"%s %d"}`, time.Now().UnixMilli(), word, i)}
		s.Client.Produce(s.ctx, rec, func(_ *kgo.Record, err error) {
			if err != nil {
				s.t.Error(err)
			}
		})
	}
	require.NoError(s.t, s.Client.Flush(s.ctx))
}

// refused counts records, which were sent as good ones, as those that end among the dead letters.
func (s *scene) refused(n int64) { s.sent.Good.Add(-n); s.sent.Broken.Add(n) }

// Each cause is one of those that an operator has to mend: no dead letters, nothing lost, and it goes on when it is mended.
func TestWhatAnOperatorHasToMendBlocksAndGoesOnOnceMended(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send(500)
	s.exact()
	for _, c := range []struct {
		name, errorName string
		cause, mend     []string
	}{
		{"a table that is away", "UNKNOWN_TABLE", []string{"RENAME TABLE logs TO away"}, []string{"RENAME TABLE away TO logs"}},
		{"a column with another name", "NO_SUCH_COLUMN_IN_TABLE", []string{"ALTER TABLE logs RENAME COLUMN span_id TO span"}, []string{"ALTER TABLE logs RENAME COLUMN span TO span_id"}},
		{"a full disk", "NOT_ENOUGH_SPACE", []string{"ALTER TABLE logs MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000"}, []string{"ALTER TABLE logs RESET SETTING min_free_disk_bytes_to_perform_insert"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			dead := s.count("SELECT count() FROM dead_letters")
			s.exec(c.cause...)
			s.sendGood(1500)
			b, err := s.AwaitState(s.ctx, "blocked", c.errorName)
			require.NoError(t, err)
			details, err := s.Details(s.ctx, b.ID)
			require.NoError(t, err)
			for _, want := range []string{"**blocked** since", c.errorName, "starter resolve " + b.ID + " retry", "starter resolve " + b.ID + " skip --reason"} {
				require.Contains(t, details, want)
			}
			s.exec(c.mend...)
			mended := time.Now()
			require.Contains(t, s.starter("resolve", "--state", "blocked", "retry"), "told: retry")
			s.exact()
			require.Less(t, time.Since(mended), 30*time.Second, "it was told, it need not wait for its minute")
			require.Equal(t, dead, s.count("SELECT count() FROM dead_letters"), "none of it is the records' fault")
		})
	}
	s.t = t
	out := s.starter("batches", "--state", "stored")
	require.Contains(t, out, "UNKNOWN_TABLE", "what a batch has been through stays to be seen")
	s.clean(load.Logs, load.Metrics, load.Events)
}

// sendGood sends records without faults.
func (s *scene) sendGood(n int) {
	s.t.Helper()
	require.NoError(s.t, s.Produce(s.ctx, load.New(uint64(time.Now().UnixNano()), load.Mix{Metrics: 0.1, Events: 0.1}), n, &s.sent, nil)) //nolint:gosec // a seed
}

// account is the user w, from a file of ClickHouse's, which is read at each start.
type account struct{ password, inserts, quota string }

var fine = account{secret, "GRANT INSERT ON default.*", ""}

func (a account) xml() string {
	return `<clickhouse><quotas><few><interval><duration>3600</duration>` + a.quota + `</interval></few></quotas>
		<users><w><password>` + a.password + `</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>few</quota>
		<grants><query>GRANT SELECT, SHOW, CREATE, ALTER, KILL QUERY ON *.*</query><query>GRANT TABLE ENGINE ON *</query><query>` + a.inserts + `</query></grants></w></users></clickhouse>`
}

// withAccount is a scene whose programs are the user w.
func withAccount(t *testing.T) (s *scene, become func(account)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	dir := t.TempDir()
	file := filepath.Join(dir, "clickhouse", "users.d", "w.xml")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
	require.NoError(t, os.WriteFile(file, []byte(fine.xml()), 0o600))
	r, err := rig.Start(ctx, rig.Options{Dir: dir, Log: os.Stderr, Env: []string{"BATCH_LINGER=300ms", "BATCH_RECORDS=5000", "CLICKHOUSE_USER=w", "CLICKHOUSE_PASSWORD=" + secret}})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	s = &scene{Rig: r, t: t, ctx: ctx, gen: load.New(1, mix)}
	s.worker, err = r.Worker()
	require.NoError(t, err)
	s.consumer, err = r.Consumer()
	require.NoError(t, err)
	return s, func(a account) {
		s.t.Helper()
		require.NoError(s.t, os.WriteFile(file, []byte(a.xml()), 0o600))
		require.NoError(s.t, s.ClickHouse.Kill())
		require.NoError(s.t, s.ClickHouse.Start(s.ctx))
	}
}

func TestWhatTheUserMayNoLongerBlocksAndGoesOnOnceItMay(t *testing.T) {
	t.Parallel()
	s, become := withAccount(t)
	s.sendGood(500)
	s.all()
	for i, c := range []struct {
		name, errorName string
		account         account
	}{
		{"insert", "ACCESS_DENIED", account{secret, "GRANT INSERT ON default.dead_letters", ""}},
		{"come in", "AUTHENTICATION_FAILED", account{"another", fine.inserts, ""}},
		{"insert so often", "QUOTA_EXCEEDED", account{secret, fine.inserts, "<query_inserts>1</query_inserts>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			become(c.account)
			for range 3 {
				s.sendGood(500)
			}
			_, err := s.AwaitState(s.ctx, "blocked", c.errorName)
			require.NoError(t, err)
			become(fine)
			if i > 0 { // the first goes on by itself, within its minute
				s.starter("resolve", "--state", "blocked", "retry")
			}
			s.all()
			require.Zero(t, s.count("SELECT count() FROM dead_letters"))
		})
	}
	s.t = t
	s.clean(load.Logs, load.Metrics, load.Events)
}

// all is exact for records without faults.
func (s *scene) all() {
	s.t.Helper()
	require.NoError(s.t, s.Drain(s.ctx, &s.sent))
	require.NoError(s.t, s.Settled(s.ctx))
	b, err := s.Count(s.ctx)
	require.NoError(s.t, err)
	require.NoError(s.t, b.Exact(&s.sent))
}

// One block has rows that the table refuses, and others on which a view throws; and the worker dies in the middle of it.
func TestPoisonRowsAreDeadLettersAndTheOthersAreStoredOnceThroughAWorkersDeathAndAViewThatThrows(t *testing.T) {
	t.Parallel()
	s := newScene(t, "BATCH_RECORDS=100000", "BATCH_LINGER=2s")
	require.NoError(t, s.AwaitLog(s.ctx, s.worker, "worker is ready"))
	s.exec(
		"ALTER TABLE logs ADD CONSTRAINT no_poison CHECK NOT startsWith(message, 'poison')",
		"CREATE TABLE counted (level String, n UInt64) ENGINE = MergeTree ORDER BY level SETTINGS non_replicated_deduplication_window = 100000",
		"CREATE MATERIALIZED VIEW by_level TO counted AS SELECT level, toUInt64(1 + throwIf(message = 'fine 7')) AS n FROM logs",
	)
	const n, bad = 20_000, 40
	s.poison(n, func(i int) bool { return i%500 == 100 })
	s.sent.Good.Add(n)
	s.refused(bad)
	_, err := s.AwaitState(s.ctx, "isolating", "VIOLATED_CONSTRAINT")
	require.NoError(t, err)
	s.worker.Kill()
	require.NoError(t, s.worker.Restart())
	b, err := s.AwaitState(s.ctx, "blocked", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO")
	require.NoError(t, err)
	details, err := s.Details(s.ctx, b.ID)
	require.NoError(t, err)
	require.Contains(t, details, "a view is at fault")
	require.Contains(t, details, "default.by_level")
	require.Contains(t, details, "starter resolve "+b.ID+" accept")
	s.exec("ALTER TABLE by_level MODIFY QUERY SELECT level, toUInt64(1) AS n FROM logs")
	s.starter("resolve", b.ID, "retry")
	s.all()
	require.EqualValues(t, n-bad, s.count("SELECT count() FROM counted"), "the view has each row once, too")
	require.EqualValues(t, bad, s.count("SELECT count() FROM dead_letters WHERE class = 'rejected' AND reason = 'VIOLATED_CONSTRAINT' AND code = 469 AND message LIKE '%no_poison%' AND startsWith(JSONExtractString(value, 'message'), 'poison')"))
	s.clean(load.Logs, load.Metrics, load.Events)
}

func TestABatchOfBadRecordsIsHeldUntilItIsApproved(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	require.NoError(t, s.Produce(s.ctx, load.New(3, load.Mix{Broken: 0.8}), 1000, &s.sent, nil))
	b, err := s.AwaitState(s.ctx, "held", "TOO_MANY_DEAD_LETTERS")
	require.NoError(t, err)
	require.Zero(t, s.count("SELECT count() FROM dead_letters"))
	refused, err := s.Starter("resolve", b.ID, "accept")
	require.NoError(t, err)
	code, err := refused.Wait(s.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, code)
	require.Contains(t, refused.Log(), "choose approve, retry, dead_letter, skip")
	require.NoError(t, s.Until(s.ctx, "approve all", func(ctx context.Context) (bool, string) {
		n, err := s.OpenBatches(ctx)
		if err == nil && n > 0 {
			s.starter("resolve", "--state", "held", "approve")
		}
		return err == nil && n == 0, fmt.Sprint(n, err)
	}))
	s.exact()
	s.clean(load.Logs, load.Metrics, load.Events)
}

// Decisions are given while inserts hang in a frozen server, which then goes on.
func TestDecisionsWhileInsertsHangPutNothingInTwoPlaces(t *testing.T) {
	t.Parallel()
	s := newScene(t, "BATCH_RECORDS=20000", "BATCH_LINGER=1s")
	s.sendGood(200)
	s.all()
	s.slow() // so that the freeze hits an insert
	require.NoError(t, s.Produce(s.ctx, load.New(5, load.Mix{Metrics: 0.3, Events: 0.3}), 20_000, &s.sent, nil))
	require.NoError(t, s.Until(s.ctx, "inserts run", func(ctx context.Context) (bool, string) {
		var n uint64
		err := s.DB.QueryRow(ctx, "SELECT count() FROM system.processes WHERE query_kind = 'Insert'").Scan(&n)
		return err == nil && n >= 2, ""
	}))
	require.NoError(t, s.ClickHouse.Freeze())
	told := map[string]bool{}
	for topic, decision := range map[string][]string{load.Logs: {"skip", "--reason", "a test"}, load.Metrics: {"dead_letter", "--all"}} {
		b, err := s.AwaitState(s.ctx, "waiting", "")
		require.NoError(t, err)
		require.NoError(t, s.Until(s.ctx, "wait for "+topic, func(ctx context.Context) (bool, string) {
			all, err := s.Find(ctx, `WorkflowType = "Ingest" AND ExecutionStatus = "Running" AND IngestState = "waiting" AND IngestTopic = "`+topic+`"`)
			if len(all) > 0 {
				b = all[0]
			}
			return err == nil && len(all) > 0, fmt.Sprint(all, err)
		}))
		out := s.starter(append([]string{"resolve", b.ID}, decision...)...)
		require.Contains(t, out, "takes effect when nothing of the batch can land any more")
		told[b.ID] = true
	}
	require.NoError(t, s.ClickHouse.Thaw())
	require.NoError(t, s.Settled(s.ctx))
	require.Len(t, told, 2)
	books, err := s.Count(s.ctx)
	require.NoError(t, err)
	require.Zero(t, books.Duplicates+books.Both)
	skipped := s.count("SELECT toUInt64(sum(last - first + 1)) FROM ingest_exceptions WHERE kind = 'skipped'")
	require.Equal(t, s.sent.Good.Load(), books.Stored+books.Dead+skipped)
	for _, table := range []string{"logs", "dead_letters"} {
		require.Zero(t, s.count("SELECT count() FROM "+table+" AS l INNER JOIN ingest_exceptions AS e ON l._topic_id = e._topic_id AND l._partition = e._partition WHERE e.kind = 'skipped' AND l._offset BETWEEN e.first AND e.last"),
			"what was skipped is nowhere")
	}
	t.Logf("stored %d, dead-lettered %d, skipped %d", books.Stored, books.Dead, skipped)
	s.clean(load.Logs, load.Metrics, load.Events)
}

// slow has every insert into a table of records take a second.
func (s *scene) slow() {
	for _, table := range []string{"logs", "metrics", "events"} {
		s.exec("CREATE TABLE slow_"+table+" (x UInt8) ENGINE = Null", "CREATE MATERIALIZED VIEW slowly_"+table+" TO slow_"+table+" AS SELECT sleep(1) AS x FROM "+table)
	}
}

// The minute that the long test has ten of.
func TestAnOutageOfAMinuteUnderLoadStaysBoundedAndIsOverSoonAfterItsEnd(t *testing.T) {
	t.Parallel()
	outage(t, time.Minute)
}

// The design's long form; make test-long asks for it.
func TestAnOutageOfTenMinutesIsNoMoreThanOneOfAMinute(t *testing.T) {
	if os.Getenv("INTEGRATION_LONG") == "" {
		t.Skip("INTEGRATION_LONG is not set: make test-long")
	}
	t.Parallel()
	outage(t, 10*time.Minute)
}

// temporal is the seconds of CPU that Temporal has taken.
func (s *scene) temporal() float64 {
	s.t.Helper()
	taken, err := rig.CPU(map[string]int{"temporal": s.Temporal.PID()})
	require.NoError(s.t, err)
	return taken["temporal"]
}

func outage(t *testing.T, lasts time.Duration) {
	t.Helper()
	s := newScene(t, "BATCH_RECORDS=100000", "BATCH_LINGER=1s")
	s.send(2000)
	s.exact()
	before, err := s.Batches(s.ctx)
	require.NoError(t, err)
	require.NoError(t, s.ClickHouse.Kill())
	began := s.temporal()
	for range int(lasts.Seconds()) {
		s.send(2000)
		pause(s.ctx, time.Second)
	}
	burnt := (s.temporal() - began) / lasts.Minutes()
	open, err := s.Find(s.ctx, `WorkflowType = "Ingest" AND ExecutionStatus = "Running"`)
	require.NoError(t, err)
	require.LessOrEqual(t, len(open), 3*16, "the window of each topic")
	for _, b := range open {
		require.Equal(t, "waiting", b.State)
	}
	require.NoError(t, s.ClickHouse.Start(s.ctx))
	back := time.Now()
	s.exact()
	took := time.Since(back)
	all, err := s.Find(s.ctx, `WorkflowType = "Ingest"`)
	require.NoError(t, err)
	longest := int64(0)
	for _, b := range all {
		longest = max(longest, b.History)
	}
	require.Less(t, longest, int64(200), "a round is an event, not each try")
	require.Less(t, took, time.Minute)
	require.Less(t, burnt, 30.0, "seconds of CPU a minute")
	t.Logf("%s without ClickHouse under 2,000 records/s: %d batches were open, %d started in all, the longest history has %d events, Temporal took %.1f s of CPU a minute; all was stored %s after its return",
		lasts, len(open), int64(len(all))-before, longest, burnt, took.Round(100*time.Millisecond))
	s.clean(load.Logs, load.Metrics, load.Events)
}
