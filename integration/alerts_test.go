package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sys/unix"

	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

const (
	notReplicated = "there are no replicated tables here"
	notAsked      = "it cannot be asked"
	noneStored    = "nothing is stored"
	noneCompleted = "nothing is completed"
)

// none are panels without data while all is well, and why.
var none = map[string]string{
	"clickhouse/Replication queue/A": notReplicated,
	"clickhouse/Replication delay/A": notReplicated,
	"batches/What is stuck/A":        "nothing is stuck",
}

// noneInOutage are panels without data while ClickHouse is away, and why.
var noneInOutage = map[string]string{
	"clickhouse/Replication queue/A":                  notReplicated,
	"clickhouse/Replication delay/A":                  notReplicated,
	"clickhouse/Least disk left/A":                    notAsked,
	"clickhouse/Most parts, of the limit/A":           notAsked,
	"clickhouse/Rows/A":                               notAsked,
	"clickhouse/On disk/A":                            notAsked,
	"clickhouse/Duration of queries/A":                notAsked,
	"clickhouse/Queries per second/A":                 notAsked,
	"clickhouse/Queries that fail, per second/A":      notAsked,
	"clickhouse/Disk left/A":                          notAsked,
	"clickhouse/Size of tables/A":                     notAsked,
	"clickhouse/Rows of tables/A":                     notAsked,
	"clickhouse/Active parts/A":                       notAsked,
	"clickhouse/Most parts of a partition/A":          notAsked,
	"clickhouse/Most parts of a partition/B":          notAsked,
	"clickhouse/Merges at work/A":                     notAsked,
	"clickhouse/Mutations/A":                          notAsked,
	"clickhouse/Unfinished mutations/A":               notAsked,
	"alerts/ingest_clickhouse_disk_free_bytes":        notAsked,
	"alerts/ingest_clickhouse_disk_total_bytes":       notAsked,
	"alerts/ingest_clickhouse_max_parts_in_partition": notAsked,
	"alerts/ingest_clickhouse_parts_limit":            notAsked,
	"flow/Freshness/A":                                noneStored,
	"flow/Freshness/B":                                noneStored,
	"flow/Freshness/C":                                noneStored,
	"clickhouse/Duration of an insert/A":              noneStored,
	"clickhouse/Duration of an insert/B":              noneStored,
	"clickhouse/Duration of an insert/C":              noneStored,
	"clickhouse/Duration of a look/A":                 notAsked,
	"clickhouse/Duration of a look/B":                 notAsked,
	"clickhouse/Duration of a look/C":                 notAsked,
	"batches/From start to completion/A":              noneCompleted,
	"batches/From start to completion/B":              noneCompleted,
	"batches/From start to completion/C":              noneCompleted,
	"batches/Records of a batch/A":                    noneCompleted,
	"batches/Records of a batch/B":                    noneCompleted,
	"batches/Records of a batch/C":                    noneCompleted,
	"batches/Bytes of a batch/A":                      noneCompleted,
	"batches/Bytes of a batch/B":                      noneCompleted,
	"batches/Bytes of a batch/C":                      noneCompleted,
}

// Prometheus asks real programs on real servers, and every query of the dashboards and all that the alerts look at is there, while all is
// well and while ClickHouse is away. Alerts fire for what was done, and no others.
func TestDashboardsAndAlertsTellWhatHappens(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	questions := append(asks(t), selectors(t, w.rules)...)

	began := time.Now()
	for _, topic := range []string{load.Logs, load.Metrics, load.Events} {
		w.starter("audit", "--topic", topic)
	}
	w.answers(questions, began, none)
	require.Empty(t, w.fired(began), "while all is well")

	// An outage. What ended before it is no answer.
	w.shorten(inTrouble)
	began = time.Now()
	require.NoError(t, w.ClickHouse.Kill())
	w.fire(began, "IngestNotFlowing")
	amid := time.Now()
	w.fire(began, "IngestStale", "IngestOldBatch")
	w.answers(questions, amid, noneInOutage)
	require.Equal(t, []string{"IngestNotFlowing", "IngestOldBatch", "IngestStale"}, w.fired(began))
	w.provokeTheOthers()
}

// provokeTheOthers does what each of the other alerts is for, but a truncation, which takes a Kafka that can lose records: see
// TestATopicThatAnUncleanElectionTruncatedIsResumed. ClickHouse is away.
func (w *watch) provokeTheOthers() {
	w.t.Helper()
	w.limits(load.Events, 1<<30)
	w.fillsUp(60)
	require.NoError(w.t, w.ClickHouse.Start(w.ctx))
	w.calm("IngestDiskFills", "IngestTooManyParts")

	began := time.Now()
	w.exec("RENAME TABLE logs TO away", "SYSTEM STOP MERGES events", "DELETE FROM metrics WHERE _partition >= 0 AND _offset < 5")
	var sent rig.Sent
	require.NoError(w.t, w.Produce(w.ctx, load.New(1, load.Mix{Metrics: 1, Broken: 0.9}), 1000, &sent, nil))
	require.NoError(w.t, w.Produce(w.ctx, load.New(2, load.Mix{Events: 1, Broken: 0.3}), 300, &sent, nil))
	audit, err := w.Starter("audit", "--topic", load.Metrics)
	require.NoError(w.t, err)
	code, err := audit.Wait(w.ctx)
	require.NoError(w.t, err)
	require.Equal(w.t, 1, code, audit.Log())
	w.fire(began, "IngestBlocked", "IngestHeld", "IngestDeadLettersRise", "IngestAuditNotClean", "IngestDiskFills", "IngestTooManyParts")
	for _, query := range lists(w.t, load.Logs, "blocked") {
		found, err := w.Find(w.ctx, query)
		require.NoError(w.t, err, query)
		require.NotEmpty(w.t, found, "the links of the dashboard lead to it")
	}
	w.exec("RENAME TABLE away TO logs", "SYSTEM START MERGES events")
	w.starter("resolve", "--state", "held", "approve")
	w.starter("resolve", "--state", "blocked", "retry")

	// Nobody plans, and Kafka deletes what was not planned.
	began = time.Now()
	w.consumer.Stop()
	w.fire(began, "IngestNoPlanner", "IngestTargetDown")
	w.deletes(load.Logs, w.ends(load.Logs))
	require.NoError(w.t, w.consumer.Restart())
	w.fire(began, "IngestRecordsLost")

	// All that Kafka has left is what was not read, of a topic that it deletes by size.
	began = time.Now()
	require.NoError(w.t, w.ClickHouse.Kill())
	w.shorten(inTheEnd)
	w.deletes(load.Events, w.committed(load.Events))
	w.fire(began, "IngestLagNearsRetention", "IngestAuditNotRun")
	require.NoError(w.t, w.ClickHouse.Start(w.ctx))

	began = time.Now()
	require.NoError(w.t, w.Kafka.Freeze())
	w.fire(began, "IngestClientInDoubt")
	require.NoError(w.t, w.Kafka.Thaw())
}

// fillsUp has ClickHouse, from its next start on, take a twentieth of the disk for all that is left, and refuse inserts at that many parts.
func (w *watch) fillsUp(parts int) {
	w.t.Helper()
	var disk unix.Statfs_t
	require.NoError(w.t, unix.Statfs(w.dir, &disk))
	left := (disk.Bavail - min(disk.Bavail, disk.Blocks/20)) * uint64(disk.Bsize) //nolint:gosec // a size
	config := fmt.Sprintf(`<clickhouse><storage_configuration><disks><default><keep_free_space_bytes>%d</keep_free_space_bytes></default></disks></storage_configuration>
		<merge_tree><parts_to_throw_insert>%d</parts_to_throw_insert></merge_tree></clickhouse>`, left, parts)
	dir := filepath.Join(w.dir, "clickhouse", "config.d")
	require.NoError(w.t, os.MkdirAll(dir, 0o750))
	require.NoError(w.t, os.WriteFile(filepath.Join(dir, "full.xml"), []byte(config), 0o600))
}

// limits has Kafka delete by size, from far more on than there is: an alert counts what is left of a log only where there is such a limit.
func (w *watch) limits(topic string, bytes int64) {
	w.t.Helper()
	value := strconv.FormatInt(bytes, 10)
	all, err := kadm.NewClient(w.Client).AlterTopicConfigs(w.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.bytes", Value: &value}}, topic)
	require.NoError(w.t, err)
	for _, r := range all {
		require.NoError(w.t, r.Err)
	}
}

// deletes has Kafka delete what is below the offsets.
func (w *watch) deletes(topic string, below kadm.Offsets) {
	w.t.Helper()
	all, err := kadm.NewClient(w.Client).DeleteRecords(w.ctx, below)
	require.NoError(w.t, err)
	require.NoError(w.t, all.Error())
	require.NotEmpty(w.t, below[topic])
}

// ends are where the topic's log ends.
func (w *watch) ends(topic string) kadm.Offsets {
	w.t.Helper()
	ends, err := kadm.NewClient(w.Client).ListEndOffsets(w.ctx, topic)
	require.NoError(w.t, err)
	return ends.Offsets()
}

// committed are the low watermarks.
func (w *watch) committed(topic string) kadm.Offsets {
	w.t.Helper()
	all, err := kadm.NewClient(w.Client).FetchOffsetsForTopics(w.ctx, rig.Group, topic)
	require.NoError(w.t, err)
	return all.Offsets()
}
