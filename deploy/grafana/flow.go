package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func topics() []cog.Builder[dashboard.VariableModel] {
	return []cog.Builder[dashboard.VariableModel]{choice("topic", "ingest_planner")}
}

// flow says whether data moves, and how late it is.
func flow() page {
	return page{
		title: "Flow", about: "Is data moving, and how late is it?", variables: topics(),
		rows: []row{{"At a glance", glance()}, {"From Kafka to ClickHouse", append(moving(), waiting()...)}, {"Who plans", group()}, {"Programs", programs()}},
	}
}

func glance() []panel {
	return []panel{
		{
			title: "Alerts that fire", unit: count, look: number, red: 1,
			about:   "What is to be done is behind each alert's runbook link, on Prometheus's page of alerts.",
			queries: []query{{`count(ALERTS{alertname=~"Ingest.+", alertstate="firing"}) or vector(0)`, ""}},
		},
		{
			title: "Records that wait", unit: count, look: number,
			about:   "Offsets between what has ended and Kafka's end, of all partitions.",
			queries: []query{{"sum(ingest_lag_offsets" + ofTopic + ")", ""}},
		},
		{
			title: "The oldest waits for", unit: seconds, look: number, red: 300,
			about:   "Age, by Kafka's timestamp, of the oldest record that has not ended.",
			queries: []query{{"max(ingest_lag_seconds" + ofTopic + ")", ""}},
		},
		{
			title: "Stored per second", unit: perSecond, look: number,
			about:   "Rows that ClickHouse acknowledged.",
			queries: []query{{"sum(rate(ingest_stored_rows_total" + ofTopic + "[$__rate_interval]))", ""}},
		},
		{
			title: "Topics that nobody plans", unit: count, look: number, red: 1,
			about:   "New records of these are not cut into batches.",
			queries: []query{{"count(sum by (topic) (ingest_planner" + ofTopic + ") == 0) or 0 * count(ingest_planner" + ofTopic + ")", ""}},
		},
		{
			title: "Programs that do not answer", unit: count, look: number, red: 1,
			about:   "Consumers, workers and clients that Prometheus knows, and cannot reach.",
			queries: []query{{`count(up{job=~"ingest-.+"} == 0) or 0 * count(up{job=~"ingest-.+"})`, ""}},
		},
	}
}

func moving() []panel {
	return []panel{
		{
			title: "Produced, planned, ended", unit: perSecond,
			about: "Offsets per second. The three lines lie on each other while all is well; where they part is where records wait.",
			queries: []query{
				{"sum(deriv(ingest_log_end_offset" + ofTopic + "[$__rate_interval]))", "produced"},
				{"sum(deriv(ingest_planned_offset" + ofTopic + "[$__rate_interval]))", "planned"},
				{"sum(deriv(ingest_low_watermark_offset" + ofTopic + "[$__rate_interval]))", "ended"},
			},
		},
		{
			title: "Produced by topic", unit: perSecond,
			about:   "Offsets that Kafka's ends moved by, per second.",
			queries: []query{rate("ingest_log_end_offset", ofTopic, "topic", legendOf)},
		},
		{
			title: "Where records end", unit: perSecond, stacked: true,
			about:   "Offsets of completed batches per second. Present were there before (a replay, a batch that began again); holes are Kafka's own.",
			queries: []query{rate("ingest_completed_offsets_total", ofTopic, "place", "{{place}}")},
		},
		{
			title: "Freshness", unit: seconds,
			about:   "From Kafka's timestamp to ClickHouse's acknowledgement, of what was stored just then. Nothing is stored: no line; see how late the oldest is.",
			queries: quantiles("ingest_freshness_seconds"),
		},
	}
}

// waiting is what has not ended, and what never will.
func waiting() []panel {
	return []panel{
		{
			title: "How late the oldest is", unit: seconds,
			about:   "Age of the oldest record that has not ended, by topic. It grows by a second a second while nothing moves.",
			queries: []query{{"max by (topic) (ingest_lag_seconds" + ofTopic + ")", legendOf}},
		},
		{
			title: "Lag", unit: count,
			about:   "Records that have not ended, by topic.",
			queries: []query{{"sum by (topic) (ingest_lag_offsets" + ofTopic + ")", legendOf}},
		},
		{
			title: "Lag that no batch owns yet", unit: count,
			about:   "At 16 unfinished batches (BATCH_WINDOW) planning stops, and the rest waits here.",
			queries: []query{{"sum by (topic) (ingest_unplanned_offsets" + ofTopic + ")", legendOf}},
		},
		{
			title: "Share of the retention", unit: share, max: 1,
			about:   "How much of the topic's retention.ms the oldest record has behind it. At 100 % Kafka deletes what was not read. A topic without a retention stays at 0.",
			queries: []query{{"max by (topic) (ingest_lag_seconds" + ofTopic + ") / min by (topic) (ingest_topic_retention_seconds" + ofTopic + ")", legendOf}},
		},
		{
			title: "Partitions with the largest lag", unit: count,
			about:   "One that stands out has a record that cannot be read, or a key that takes most of the traffic.",
			queries: []query{{"topk(10, ingest_lag_offsets" + ofTopic + ")", "{{topic}} {{partition}}"}},
		},
		{
			title: "Dead letters", unit: perSecond,
			about:   "Records per second that can never be stored as they are, by reason: in small letters the decoder's, in capitals ClickHouse's.",
			queries: []query{rate("ingest_dead_letters_total", ofTopic, "reason", "{{reason}}")},
		},
		{
			title: "Lost and skipped", unit: count,
			about: "Offsets that Kafka deleted before they were planned or read, and those that an operator dropped. Each is in ingest_exceptions for ever.",
			queries: []query{
				{"sum(increase(ingest_planned_lost_offsets_total" + ofTopic + "[$__rate_interval]))", "lost before planning"},
				{"sum(increase(ingest_lost_offsets_total" + ofTopic + "[$__rate_interval]))", "lost before reading"},
				{"sum(increase(ingest_skipped_offsets_total" + ofTopic + "[$__rate_interval]))", "skipped"},
			},
		},
		{
			title: "Read from Kafka", unit: bytesASec,
			about:   "Keys and values, uncompressed; again where a batch is tried again.",
			queries: []query{rate("ingest_read_bytes_total", ofTopic, "topic", legendOf)},
		},
	}
}

func group() []panel {
	return []panel{
		{
			title: "Members of the group", unit: count, width: 6,
			about:   "Consumers that plan or stand by. Other programs in the same group take topics away.",
			queries: []query{{"max(ingest_group_members)", "members"}},
		},
		{
			title: "State of the group", unit: count, width: 6, stacked: true,
			about:   "Stable is what it should be; a group that rebalances all the time plans little.",
			queries: []query{{"max by (state) (ingest_group_state)", "{{state}}"}},
		},
		{
			title: "Who plans which topic", unit: count, width: 6, stacked: true,
			about:   "One at a time for each topic. The topic passes to another one when its consumer ends or cannot reach Kafka.",
			queries: []query{{"max by (topic, instance) (ingest_planner" + ofTopic + ") == 1", "{{topic}} by {{instance}}"}},
		},
		{
			title: "Rebalances", unit: count, width: 6,
			about:   "Assignments that consumers got from the group.",
			queries: []query{{"sum by (instance) (increase(ingest_rebalances_total[$__rate_interval]))", "{{instance}}"}},
		},
		{
			title: "A round of planning", unit: seconds, width: 12,
			about:   "Five a second for each topic, while it is planned. Slow rounds are a slow Kafka or Temporal.",
			queries: quantiles("ingest_plan_round_seconds"),
		},
		{
			title: "Requests to Kafka", unit: seconds, width: 12,
			about:   "From sending to the answer, 99 %, of consumers and workers.",
			queries: []query{quantile("0.99", "kafka_request_duration_e2e_seconds", "", "job", "{{job}}")},
		},
	}
}

func programs() []panel {
	return []panel{
		{
			title: "CPU", unit: count,
			about:   "Cores that each program uses.",
			queries: []query{{`sum by (job, instance) (rate(process_cpu_seconds_total{job=~"ingest-.+"}[$__rate_interval]))`, "{{job}} {{instance}}"}},
		},
		{
			title: "Memory", unit: inBytes,
			about:   "Resident memory of each program. A worker's is bounded by WORKER_MEMORY_MIB, about.",
			queries: []query{{`max by (job, instance) (process_resident_memory_bytes{job=~"ingest-.+"})`, "{{job}} {{instance}}"}},
		},
		{
			title: "Versions", unit: count, stacked: true,
			about:   "How many programs run of each version. Two during an upgrade.",
			queries: []query{{"count by (program, version) (ingest_build_info)", "{{program}} {{version}}"}},
		},
	}
}
