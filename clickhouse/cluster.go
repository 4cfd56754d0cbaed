package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// DDLWait is how long a statement ON CLUSTER waits for all servers. One that is away does it when it is back: the statement stays in the
// cluster's queue.
const DDLWait = 3 * time.Second

// OnCluster has statements ON CLUSTER wait for DDLWait and then be well, whatever the user's profile says: whoever sent one makes sure that
// the server it asks has done it. What a server refuses is an error as ever.
func OnCluster(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"distributed_ddl_task_timeout": int(DDLWait.Seconds()), "distributed_ddl_output_mode": "null_status_on_timeout",
	}))
}

// onEvery has a statement ON CLUSTER fail unless every server has done it in time, whatever the user's profile says.
func onEvery(ctx context.Context, within time.Duration) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"distributed_ddl_task_timeout": int(within.Seconds()), "distributed_ddl_output_mode": "throw",
	}))
}

// NotYet is the failure of what servers of a cluster have still to do: waiting cures it.
func NotYet(format string, args ...any) *Failure {
	return &Failure{Class: Outage, Name: "NOT_YET_ON_CLUSTER", Message: fmt.Sprintf(format, args...)}
}
