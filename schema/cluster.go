package schema

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ai-backlog/ingest/clickhouse"
)

// layout is what of the SQL depends on where the tables live: on one server, or on the replicas of a cluster.
type layout struct {
	Database  string
	OnCluster string // behind the name of what is created
	MergeTree string // the engine
	Window    string // the settings by which a table remembers tokens
}

// The settings in numbers. A replicated table also forgets by time, after an hour unless told otherwise: a resend comes within half an
// hour, but a note is tried again for as long as an outage lasts. Keeper keeps one small node for each.
const (
	window       = "100000"
	windowTime   = "604800" // a week, in seconds
	replicatedAs = "ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"
)

// layoutOf quotes the names. The path of a replicated table has its name and no UUID: whoever creates the table on another replica, now or
// later, joins it, where a UUID of its own would make a second table under the same name.
func layoutOf(o Options) layout {
	l := layout{Database: clickhouse.Quote(o.Database), MergeTree: "MergeTree", Window: plain + " = " + window}
	if o.Cluster != "" {
		l.OnCluster = " ON CLUSTER " + clickhouse.Quote(o.Cluster)
		l.MergeTree = replicatedAs
		l.Window = replicated + " = " + window + ", " + replicatedTime + " = " + windowTime
	}
	return l
}

// cluster makes sure that the cluster is one that the tables can live on: the server knows it, and it has one shard, since a look asks
// one replica, which has to have all rows. Without CLICKHOUSE_CLUSTER there is nothing to make sure of.
func (a applier) cluster(ctx context.Context, have map[string]found) error {
	if a.Cluster == "" {
		return nil
	}
	var names []string
	var shards uint64
	err := a.conn.QueryRow(ctx, "SELECT arraySort(groupUniqArray(cluster)), uniqExactIf(shard_num, cluster = ?) FROM system.clusters", a.Cluster).Scan(&names, &shards)
	if err != nil {
		return clickhouse.Wrap(err, "look for cluster %s", a.Cluster)
	}
	var problems []string
	switch {
	case shards == 0:
		problems = append(problems, fmt.Sprintf("CLICKHOUSE_CLUSTER is %s, and the server knows none of that name but: %s", a.Cluster, strings.Join(names, ", ")))
	case shards > 1:
		problems = append(problems, fmt.Sprintf("CLICKHOUSE_CLUSTER is %s, which has %d shards: a look must find every row on one replica, so name a cluster of one shard and its replicas, and give each shard topics, a KAFKA_GROUP_ID and programs of its own",
			a.Cluster, shards))
	}
	for _, t := range tables {
		f, ok := have[t.name]
		if ok && !strings.HasPrefix(f.engine, "Replicated") && !strings.HasPrefix(f.engine, "Shared") {
			problems = append(problems, fmt.Sprintf("table %s is not replicated: unset CLICKHOUSE_CLUSTER, or set CLICKHOUSE_DATABASE to another database", t.name))
		}
	}
	if len(problems) > 0 {
		return &MismatchError{Database: a.Database, Problems: problems}
	}
	return nil
}

// ClusterTime is enough for Apply on a cluster of which a server is away: each statement waits for it.
const ClusterTime = time.Minute

// missing is waited for: servers take the statements from a queue.
func (a applier) missing(names ...string) error {
	return clickhouse.NotYet("the server has not created table %s of %s yet, as cluster %s was told: see system.distributed_ddl_queue", strings.Join(names, ", "), a.Database, a.Cluster)
}

// complete is nil if the server that is asked has all tables.
func (a applier) complete(have map[string]found) error {
	var names []string
	for _, t := range tables {
		if _, ok := have[t.name]; !ok {
			names = append(names, t.name)
		}
	}
	if a.Cluster != "" && len(names) > 0 {
		return a.missing(names...)
	}
	return mismatch(a.Database, have, true)
}

// most makes sure that most servers of the cluster have the tables: a quorum is counted among those only, and would be one server while
// the others have never been there.
func (a applier) most(ctx context.Context) error {
	if a.Cluster == "" {
		return nil
	}
	var names []string
	for _, t := range tables {
		names = append(names, t.name)
	}
	var servers, replicated, fewest uint64
	err := a.conn.QueryRow(ctx, "SELECT (SELECT count() FROM system.clusters WHERE cluster = ?), count(), toUInt64(min(total_replicas)) FROM system.replicas WHERE database = ? AND table IN (?)",
		a.Cluster, a.Database, names).Scan(&servers, &replicated, &fewest)
	if err != nil {
		return clickhouse.Wrap(err, "count the replicas of %s", a.Database)
	}
	return a.enough(servers, replicated, fewest)
}

func (a applier) enough(servers, replicated, fewest uint64) error {
	if replicated > 0 && 2*fewest <= servers {
		return clickhouse.NotYet("tables of %s are on %d of the %d servers of cluster %s: with fewer than most of them an acknowledged insert might not outlive one", a.Database, fewest, servers, a.Cluster)
	}
	return nil
}
