package vitals

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/ai-backlog/ingest/monitor"
)

// metrics are what the readings show. Labels are what the server has: its disks, and the tables of our database.
type metrics struct {
	up, seconds                        prometheus.Gauge
	partsLimit                         *series
	diskTotal, diskFree                *series
	rows, bytes, parts, maxParts       *series
	merges, mutations                  *series
	replicationQueue, replicationDelay *series
	querySeconds, queries, failures    *series
}

func newMetrics(reg prometheus.Registerer, life time.Duration) *metrics {
	f := promauto.With(reg)
	gauge := func(name, help string, labels ...string) *series {
		return &series{of: monitor.NewReading(reg, life, "ingest_clickhouse_"+name, help, labels...)}
	}
	return &metrics{
		up:               f.NewGauge(prometheus.GaugeOpts{Name: "ingest_clickhouse_up", Help: "1 if the last reading of ClickHouse's system tables worked."}),
		seconds:          f.NewGauge(prometheus.GaugeOpts{Name: "ingest_clickhouse_reading_seconds", Help: "Seconds that the last reading of ClickHouse's system tables took."}),
		diskTotal:        gauge("disk_total_bytes", "Size of a disk of ClickHouse in bytes.", "disk"),
		diskFree:         gauge("disk_free_bytes", "Bytes of a disk of ClickHouse that are free.", "disk"),
		rows:             gauge("table_rows", "Rows of a table, in active parts.", "table"),
		bytes:            gauge("table_bytes", "Bytes of a table on disk, in active parts, compressed.", "table"),
		parts:            gauge("table_parts", "Active parts of a table.", "table"),
		maxParts:         gauge("max_parts_in_partition", "Active parts of the table's partition that has most: what the limit is for.", "table"),
		partsLimit:       gauge("parts_limit", "Active parts of a partition at which the server refuses inserts (parts_to_throw_insert)."),
		merges:           gauge("merges", "Merges that run, by table; mutations of parts too.", "table"),
		mutations:        gauge("mutations", "Mutations that are not finished.", "table"),
		replicationQueue: gauge("replication_queue", "Entries of a replicated table's queue.", "table"),
		replicationDelay: gauge("replication_delay_seconds", "Seconds that a replicated table is behind.", "table"),
		querySeconds:     gauge("query_seconds", "Duration in seconds of queries on our database in the last three minutes, whoever asked them.", "kind", "quantile"),
		queries:          gauge("queries", "Queries on our database per second in the last three minutes.", "kind"),
		failures:         gauge("query_failures", "Queries on our database per second that failed, in the last three minutes.", "kind"),
	}
}

// series is a gauge whose label values are the server's.
type series struct {
	of  *monitor.Reading
	had [][]string
}

// row is one of an answer: label values, and a value for each gauge.
type row struct {
	labels []string
	values []float64
}

// show sets the gauge to the n-th value of each row, and forgets labels that no row has.
func (s *series) show(rows []row, n int) {
	var has [][]string
	for _, r := range rows {
		s.of.Set(r.values[n], r.labels...)
		has = append(has, r.labels)
	}
	for _, was := range s.had {
		if !slices.ContainsFunc(has, func(is []string) bool { return slices.Equal(is, was) }) {
			s.of.Forget(was...)
		}
	}
	s.had = has
}
