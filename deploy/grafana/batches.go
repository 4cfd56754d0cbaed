package main

import (
	"net/url"
	"strings"
)

// unfinished are links to the unfinished batches of a series' topic in Temporal's UI, and to those of its state.
var (
	unfinished = link{"These in Temporal's UI", listing(`WorkflowType IN ("Ingest", "MakeWay") AND IngestTopic = "${__field.labels.topic}" AND ExecutionStatus = "Running"`)}
	inState    = link{"These in Temporal's UI", listing(`IngestTopic = "${__field.labels.topic}" AND IngestState = "${__field.labels.state}" AND ExecutionStatus = "Running"`)}
	ofRow      = link{"These in Temporal's UI", listing(`IngestTopic = "${__data.fields.topic}" AND IngestState = "${__data.fields.state}" AND ExecutionStatus = "Running"`)}
)

// listing is the page of Temporal's UI that lists what a query finds. Grafana puts its variables in, so they are not escaped.
func listing(query string) string {
	escaped := url.QueryEscape(query)
	for _, v := range []string{"${__field.labels.topic}", "${__field.labels.state}", "${__data.fields.topic}", "${__data.fields.state}"} {
		escaped = strings.ReplaceAll(escaped, url.QueryEscape(v), v)
	}
	return filterHead + strings.ReplaceAll(escaped, "+", "%20")
}

// batches says what is stuck, and why.
func batches() page {
	return page{
		title: "Batches", about: "What is stuck, and why? Links go to Temporal's UI, with its list filtered.",
		variables: append(topics(), given("temporal", "Temporal's UI", "http://localhost:8233"), given("namespace", "namespace", "default")),
		rows:      []row{{"Unfinished", open()}, {"What was completed", completed()}, {"What went wrong", wrong()}, {"Temporal", temporal()}},
	}
}

func state(name string) panel {
	return panel{
		title: "Batches " + name, unit: count, look: number,
		queries: []query{{`sum(ingest_batches{topic=~"$topic", state="` + name + `"})`, ""}},
	}
}

func open() []panel {
	running, waiting, blocked, held := state("running"), state("waiting"), state("blocked"), state("held")
	running.about = "At work, or waiting for a worker."
	waiting.about, waiting.red = "For a server to come back. Nothing is to be decided.", 1
	blocked.about, blocked.red = "Something has to be mended that is no outage.", 1
	held.about, held.red = "Too much of each cannot be stored: they ask.", 1
	return []panel{
		running, waiting, blocked, held,
		{
			title: "Oldest batch", unit: seconds, look: number, red: 900,
			about:   "Since its start.",
			queries: []query{{"max(ingest_oldest_batch_age_seconds" + ofTopic + ")", ""}},
		},
		{
			title: "Since the last audit", unit: seconds, look: number, red: 129600,
			about:   "Of the topic whose newest audit is oldest.",
			queries: []query{{"time() - min(max by (topic) (ingest_audit_last_timestamp_seconds" + ofTopic + "))", ""}},
		},
		{
			title: "What is stuck", unit: seconds, look: list, link: ofRow, width: 12,
			about:   "Batches that wait, are blocked or held, by the age of the oldest. Nothing here is what it should be.",
			queries: []query{{`sort_desc(max by (topic, state) (ingest_oldest_batch_age_seconds{topic=~"$topic", state!="running"}) > 0)`, ""}},
		},
		{
			title: "Audits", unit: count, width: 12,
			about:   "1: the newest audit of the topic is clean. 0: it is not, or could not tell: starter audit --topic T.",
			queries: []query{{"min by (topic) (ingest_audit_clean" + ofTopic + ")", legendOf}},
		},
		{
			title: "Unfinished by state", unit: count, stacked: true, link: inState,
			about:   "At 16 of a topic (BATCH_WINDOW) its planning stops.",
			queries: []query{{`sum by (topic, state) (ingest_batches{topic=~"$topic"})`, "{{topic}} {{state}}"}},
		},
		{
			title: "Age of the oldest", unit: seconds, link: inState,
			about:   "By state. A running one takes seconds.",
			queries: []query{{"max by (topic, state) (ingest_oldest_batch_age_seconds" + ofTopic + ")", "{{topic}} {{state}}"}},
		},
		{
			title: "Open, as the planner knows", unit: count, link: unfinished,
			about:   "Batches of the plan log that are not completed.",
			queries: []query{{"sum by (topic) (ingest_open_batches" + ofTopic + ")", legendOf}},
		},
	}
}

func completed() []panel {
	return []panel{
		{
			title: "Planned", unit: perSecond,
			about:   "Batches per second. One a second for each topic is BATCH_LINGER; more is full ones.",
			queries: []query{rate("ingest_planned_batches_total", ofTopic, "topic", legendOf)},
		},
		{
			title: "From start to completion", unit: seconds,
			about:   "Of batches that were completed just then.",
			queries: quantiles("ingest_batch_seconds"),
		},
		{
			title: "Records of a batch", unit: count,
			about:   "Small ones all the time make ClickHouse merge a lot: raise BATCH_LINGER.",
			queries: quantiles("ingest_batch_records"),
		},
		{
			title: "Bytes of a batch", unit: inBytes,
			about:   "Keys and values, uncompressed.",
			queries: quantiles("ingest_batch_bytes"),
		},
		{
			title: "Inserts", unit: perSecond, stacked: true,
			about:   "Blocks per second by what came of them. Outages are tried again for ever; what is blocked needs an operator; what is rejected is isolated.",
			queries: []query{rate("ingest_inserts_total", ofTopic, "result", "{{result}}")},
		},
		{
			title: "Looks", unit: perSecond,
			about:   "Each batch looks before it inserts. What finds something was planned again, or began again after an answer was lost.",
			queries: []query{rate("ingest_looks_total", ofTopic, "found", "found something: {{found}}")},
		},
	}
}

func wrong() []panel {
	return []panel{
		{
			title: "Attempts of activities that failed", unit: perSecond,
			about:   "By activity. Insert fails while ClickHouse is away.",
			queries: []query{{`sum by (activity) (rate(ingest_activity_attempts_total{result="failed"}[$__rate_interval]))`, "{{activity}}"}},
		},
		{
			title: "Sent again under the same token", unit: count,
			about:   "Blocks whose first outcome was not known. ClickHouse drops what it has.",
			queries: []query{{"sum by (topic) (increase(ingest_tokens_resent_total" + ofTopic + "[$__rate_interval]))", legendOf}},
		},
		{
			title: "Found by looks", unit: perSecond,
			about:   "Offsets that were stored or dead-lettered before.",
			queries: []query{rate("ingest_present_records_total", ofTopic, "topic", legendOf)},
		},
		{
			title: "Started again, vanished", unit: count,
			about: "Batches that somebody ended in Temporal and that were started again, and those that Temporal has forgotten and whose offsets are planned again.",
			queries: []query{
				{"sum(increase(ingest_restarted_batches_total" + ofTopic + "[$__rate_interval]))", "started again"},
				{"sum(increase(ingest_vanished_batches_total" + ofTopic + "[$__rate_interval]))", "vanished"},
			},
		},
		{
			title: "Views at fault", unit: count,
			about:   "Errors that a materialized view threw after the table took the block.",
			queries: []query{{"sum by (topic) (increase(ingest_view_faults_total" + ofTopic + "[$__rate_interval]))", legendOf}},
		},
		{
			title: "Decisions", unit: count,
			about:   "What operators decided, by starter resolve or in Temporal's UI.",
			queries: []query{{"sum by (decision) (increase(ingest_decisions_total" + ofTopic + "[$__rate_interval]))", "{{decision}}"}},
		},
	}
}

func temporal() []panel {
	return []panel{
		{
			title: "Waiting for a worker", unit: seconds,
			about:   "From the scheduling of an activity to its start, 95 %. More workers, or WORKER_INSERTS, where it grows.",
			queries: []query{quantile("0.95", "temporal_activity_schedule_to_start_latency_seconds", "", "activity_type", "{{activity_type}}")},
		},
		{
			title: "Activities at work", unit: count,
			about:   "Slots in use, of all workers, by kind.",
			queries: []query{{`sum by (worker_type) (temporal_worker_task_slots_used)`, "{{worker_type}}"}},
		},
		{
			title: "Requests to Temporal", unit: perSecond,
			about:   "By program; long polls are left out.",
			queries: []query{{"sum by (job) (rate(temporal_request_total[$__rate_interval]))", "{{job}}"}},
		},
	}
}
