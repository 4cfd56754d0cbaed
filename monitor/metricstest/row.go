package metricstest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// row is one metric.
type row struct {
	name, help string
	labels     []string
	kind       dto.MetricType
}

var variable = regexp.MustCompile(`variableLabels: \{(.*)\}\}$`)

// parse reads what a Desc tells of itself: it tells nobody else.
func parse(desc string) (r row) {
	_, _ = fmt.Sscanf(desc, "Desc{fqName: %q, help: %q", &r.name, &r.help) // what is missing is empty, which Check refuses
	if m := variable.FindStringSubmatch(desc); m != nil && m[1] != "" {
		r.labels = strings.Split(m[1], ",")
	}
	return r
}

// units are last words of names: base units, and what is counted.
var units = []string{
	"seconds", "bytes", "offset", "offsets", "records", "rows", "batches", "changes", "members", "rebalances", "looks", "inserts", "attempts", "decisions",
	"faults", "parts", "merges", "mutations", "queries", "failures",
}

// others are the units of names that do not end in them.
var others = map[string]string{
	"ingest_build_info": "1", "ingest_planner": "1 or 0", "ingest_topic_stopped": "1 or 0", "ingest_group_state": "1 or 0", "ingest_audit_clean": "1 or 0",
	"ingest_client_direct": "1 or 0", "ingest_clickhouse_up": "1 or 0", "ingest_clickhouse_queries": "queries per second", "ingest_clickhouse_query_failures": "queries per second", "ingest_dead_letters_total": "records", "ingest_tokens_resent_total": "blocks",
	"ingest_clickhouse_parts_limit": "parts", "ingest_clickhouse_max_parts_in_partition": "parts", "ingest_clickhouse_replication_queue": "entries",
}

// unit is "" where a name does not say it.
func (r row) unit() string {
	if u, ok := others[r.name]; ok {
		return u
	}
	words := strings.Split(strings.TrimSuffix(r.name, "_total"), "_")
	last := words[len(words)-1]
	switch {
	case strings.HasSuffix(r.name, "_timestamp_seconds"):
		return "seconds since 1970"
	case slices.Contains(units, last):
		return last
	}
	return ""
}

// line has the values of labels, too, where the set is closed and there from the start.
func (r row) line(series *dto.MetricFamily) string {
	var labels []string
	for _, l := range r.labels {
		var values []string
		for _, m := range series.GetMetric() {
			for _, p := range m.GetLabel() {
				if p.GetName() == l && !slices.Contains(values, p.GetValue()) {
					values = append(values, p.GetValue())
				}
			}
		}
		text := "`" + l + "`"
		if slices.Sort(values); len(values) > 1 {
			text += ": " + strings.Join(values, ", ")
		}
		labels = append(labels, text)
	}
	help := strings.ReplaceAll(r.help, "|", "\\|")
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", r.name, strings.ToLower(r.kind.String()), strings.Join(labels, "; "), r.unit(), help)
}
